from collections.abc import Sequence

import pytest
from tests.guardrails.asked import cut, refused

from bartizan.guardrails.pii import Pii, PiiConfig
from bartizan.guardrails.pii_entities import COUNTRIES, ENTITIES, country_of
from bartizan.plugins.config import parse_config


def pii(**document: object) -> Pii:
    return Pii(parse_config(PiiConfig, document, "rule"))


@pytest.mark.parametrize(
    ("country", "text", "entity", "found"),
    [
        ("DE", "Steuer-ID: 86095742719", "de_tax_id", "86095742719"),
        ("DE", "VAT DE136695976", "de_vat_id", "DE136695976"),
        ("DE", "ab 030 3012643", "phone_number", "030 3012643"),
        ("EU", "pesel 44051401359", "pl_pesel", "44051401359"),
        ("EU", "for 12345678Z", "es_nif", "12345678Z"),
        ("IT", "CF RSSMRA85T10A562S", "it_fiscal_code", "RSSMRA85T10A562S"),
        ("FI", "hetu 131052-308T", "fi_personal_identity_code", "131052-308T"),
        ("SE", "personnummer 811218-9876", "se_personnummer", "811218-9876"),
        (
            "KR",
            "\uc8fc\ubbfc\ub4f1\ub85d\ubc88\ud638\ub294 900101-1234568",
            "kr_rrn",
            "900101-1234568",
        ),
        (
            "TH",
            "\u0e40\u0e25\u0e02\u0e1b\u0e23\u0e30\u0e08\u0e33\u0e15\u0e31\u0e27"
            "\u0e1b\u0e23\u0e30\u0e0a\u0e32\u0e0a\u0e19 1101700230708",
            "th_tnin",
            "1101700230708",
        ),
        ("SG", "NRIC S1234567D", "sg_nric_fin", "S1234567D"),
        ("IN", "PAN ABCPE1234F", "in_pan", "ABCPE1234F"),
        ("AU", "TFN 876 543 210", "au_tfn", "876 543 210"),
        ("US", "routing 021000021", "aba_routing_number", "021000021"),
    ],
)
def test_a_country_brings_its_numbers(country: str, text: str, entity: str, found: str) -> None:
    assert cut(pii(countries=[country]), text) == [(f"pii.{entity}", found)]
    assert cut(pii(), text) == []


def test_every_country_has_numbers_and_every_number_a_country_or_none() -> None:
    default = PiiConfig().thresholds()
    for name in COUNTRIES:
        assert PiiConfig(countries=(name,)).thresholds().keys() > default.keys()
    everywhere = PiiConfig(countries=tuple(COUNTRIES)).thresholds()
    assert {name for name in ENTITIES if country_of(name)} <= everywhere.keys()


def test_an_entity_of_a_country_can_be_switched_off() -> None:
    config = {"countries": ["DE"], "entities": {"DE_TAX_ID": {"enabled": False}}}
    assert cut(pii(**config), "Steuer-ID: 86095742719") == []


def test_what_is_allowed_is_not_reported() -> None:
    guardrail = pii(allow=["support@example.com"], allow_patterns=[r".+@ACME\.com", r"10\..*"])
    text = "support@example.com bob@ACME.com bob@acme.com 10.1.2.3"
    assert cut(guardrail, text) == [("pii.email_address", "bob@acme.com")]
    assert cut(guardrail, '"support\\u0040example.com"') == []


def test_what_is_denied_is_always_reported() -> None:
    deny = [
        {"values": ["Jane Doe", "bob@example.com"]},
        {"name": "badge", "pattern": r"\bB-\d{4}\b"},
    ]
    guardrail = pii(deny=deny, allow=["bob@example.com", "Jane Doe"])
    assert cut(guardrail, "JANE DOE, Jane Doering, b-1234, bob@example.com") == [
        ("pii.custom", "JANE DOE"),
        ("pii.badge", "b-1234"),
        ("pii.custom", "bob@example.com"),
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"countries": ["XX"]}, "no numbers of 'XX' are known"),
        ({"countries": ["us"]}, "did you mean 'US'"),
        ({"allow_patterns": ["(?=a)"]}, "no expression of RE2"),
        ({"allow_patterns": ["a" * 3_000]}, "2,000 characters"),
        ({"allow": ["a"] * 10_001}, "at most 10000"),
        ({"deny": [{}]}, "either 'values' or 'pattern'"),
        ({"deny": [{"values": ["a"], "pattern": "b"}]}, "either 'values' or 'pattern'"),
        ({"deny": [{"values": [" "]}]}, "value 0"),
        ({"deny": [{"values": ["\ud800"]}]}, "cannot be looked for"),
        ({"deny": [{"pattern": "a*"}]}, "matches where nothing stands"),
        ({"deny": [{"values": ["a"] * 6_000}, {"values": ["b"] * 6_000}]}, "10,000 values in all"),
        ({"deny": [{"name": "A", "values": ["a"]}]}, "name"),
    ],
)
def test_a_wrong_list_is_refused(document: dict[str, Sequence[object]], said: str) -> None:
    assert said in refused(PiiConfig, **document)
