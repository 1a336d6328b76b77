"""Which kinds of personal data can be found, and how sure one must be of each."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of personal data, under presidio's name for it.

    Attributes:
        on: True if it is looked for unless the configuration says otherwise.
        threshold: findings below this score are not reported.
        alone: the highest score of a finding with no word near it that tells what it is.
    """

    on: bool = False
    threshold: float = 0.4
    alone: float = 1.0


WEAK = Entity()
"""A form that much else has as well: off, and mostly found only beside a telling word."""

CHECK_DIGIT = Entity(alone=0.3)
"""One in ten other numbers passes such a check, so it needs a telling word."""

ENTITIES: dict[str, Entity] = {
    "CREDIT_CARD": Entity(on=True, threshold=0.5),
    "CRYPTO": Entity(on=True, threshold=0.5),
    "DATE_TIME": Entity(threshold=0.5),
    "EMAIL_ADDRESS": Entity(on=True, threshold=0.5),
    "IBAN_CODE": Entity(on=True, threshold=0.5),
    "IP_ADDRESS": Entity(on=True, threshold=0.5),
    "MAC_ADDRESS": Entity(on=True, threshold=0.5),
    "PHONE_NUMBER": Entity(on=True, threshold=0.4),
    "URL": Entity(threshold=0.5),
    "UUID": Entity(threshold=0.5),
    "ABA_ROUTING_NUMBER": CHECK_DIGIT,
    "AU_ABN": CHECK_DIGIT,
    "AU_ACN": CHECK_DIGIT,
    "AU_MEDICARE": CHECK_DIGIT,
    "AU_TFN": CHECK_DIGIT,
    "CA_POSTAL_CODE": WEAK,
    "CA_SIN": WEAK,
    "DE_BSNR": CHECK_DIGIT,
    "DE_FUEHRERSCHEIN": WEAK,
    "DE_HANDELSREGISTER": WEAK,
    "DE_HEALTH_INSURANCE": WEAK,
    "DE_ID_CARD": WEAK,
    "DE_KFZ": WEAK,
    "DE_LANR": CHECK_DIGIT,
    "DE_PASSPORT": WEAK,
    "DE_PLZ": WEAK,
    "DE_SOCIAL_SECURITY": WEAK,
    "DE_TAX_ID": CHECK_DIGIT,
    "DE_TAX_NUMBER": WEAK,
    "DE_VAT_ID": WEAK,
    "ES_NIE": WEAK,
    "ES_NIF": WEAK,
    "ES_PASSPORT": WEAK,
    "FI_PERSONAL_IDENTITY_CODE": WEAK,
    "IN_AADHAAR": CHECK_DIGIT,
    "IN_GSTIN": WEAK,
    "IN_PAN": WEAK,
    "IN_PASSPORT": WEAK,
    "IN_VEHICLE_REGISTRATION": WEAK,
    "IN_VOTER": WEAK,
    "IT_DRIVER_LICENSE": WEAK,
    "IT_FISCAL_CODE": WEAK,
    "IT_IDENTITY_CARD": WEAK,
    "IT_PASSPORT": WEAK,
    "IT_VAT_CODE": CHECK_DIGIT,
    "KR_BRN": CHECK_DIGIT,
    "KR_DRIVER_LICENSE": Entity(alone=0.3),
    "KR_FRN": WEAK,
    "KR_PASSPORT": WEAK,
    "KR_RRN": WEAK,
    "MEDICAL_LICENSE": CHECK_DIGIT,
    "NG_NIN": CHECK_DIGIT,
    "NG_VEHICLE_REGISTRATION": WEAK,
    "PH_PASSPORT": WEAK,
    "PH_TIN": WEAK,
    "PH_UMID": WEAK,
    "PL_PESEL": CHECK_DIGIT,
    "SE_ORGANISATIONSNUMMER": CHECK_DIGIT,
    "SE_PERSONNUMMER": CHECK_DIGIT,
    "SG_NRIC_FIN": WEAK,
    "SG_UEN": WEAK,
    "TH_TNIN": CHECK_DIGIT,
    "TR_LICENSE_PLATE": Entity(alone=0.3),
    "TR_NATIONAL_ID": CHECK_DIGIT,
    "UK_DRIVING_LICENCE": WEAK,
    "UK_NHS": Entity(on=True, alone=0.3),
    "UK_NINO": Entity(on=True, threshold=0.5),
    "UK_PASSPORT": WEAK,
    "UK_POSTCODE": WEAK,
    "UK_VEHICLE_REGISTRATION": WEAK,
    "US_BANK_NUMBER": WEAK,
    "US_CLAIM_NUMBER": WEAK,
    "US_DRIVER_LICENSE": WEAK,
    "US_HEALTH_INSURANCE_MEMBER_ID": WEAK,
    "US_ITIN": Entity(on=True),
    "US_MBI": WEAK,
    "US_NPI": CHECK_DIGIT,
    "US_PASSPORT": WEAK,
    "US_PRESCRIPTION_NUMBER": WEAK,
    "US_PRIOR_AUTHORIZATION_NUMBER": WEAK,
    "US_PROVIDER_TAX_ID": WEAK,
    "US_REFERRAL_NUMBER": WEAK,
    "US_SSN": Entity(on=True),
    "ZA_COMPANY_REGISTRATION": WEAK,
    "ZA_DRIVER_LICENSE": WEAK,
    "ZA_ID_NUMBER": CHECK_DIGIT,
    "ZA_INCOME_TAX_NUMBER": CHECK_DIGIT,
    "ZA_LICENSE_PLATE": WEAK,
    "ZA_MOBILE_NUMBER": Entity(alone=0.3),
    "ZA_PASSPORT": WEAK,
    "ZA_TELEPHONE_NUMBER": Entity(alone=0.3),
    "ZA_TRAFFIC_REGISTER_NUMBER": CHECK_DIGIT,
    "ZA_VAT_NUMBER": CHECK_DIGIT,
}

REGIONS = {
    "AU": "AU", "CA": "CA", "DE": "DE", "ES": "ES", "FI": "FI", "IN": "IN", "IT": "IT", "KR": "KR",
    "NG": "NG", "PH": "PH", "PL": "PL", "SE": "SE", "SG": "SG", "TH": "TH", "TR": "TR", "UK": "GB",
    "US": "US", "ZA": "ZA",
}  # fmt: skip
"""The countries whose numbers are known, as the entities are named, and their codes in ISO 3166."""

EU = ("DE", "ES", "FI", "IT", "PL", "SE")

COUNTRIES = frozenset((*REGIONS, "EU"))
"""What may stand in a configuration."""

AMERICAN = ("ABA_ROUTING_NUMBER", "MEDICAL_LICENSE")


def countries_of(names: Iterable[str]) -> frozenset[str]:
    """Returns the countries themselves, where EU stands for those of its members that are known."""
    return frozenset(one for name in names for one in (EU if name == "EU" else (name,)))


def country_of(entity: str) -> str | None:
    """Returns the country that an entity is of; None for one of all countries."""
    country = "US" if entity in AMERICAN else entity.partition("_")[0]
    return country if country in REGIONS else None
