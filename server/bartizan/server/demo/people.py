"""Who talks to the agents. Nobody here exists.

Mail is at example.com, telephones are of the range kept for fiction, and card numbers and IBANs are
the ones that payment providers publish for tests.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """One made-up customer or colleague."""

    id: str
    name: str
    city: str
    phone: str
    card: str
    iban: str = ""

    @property
    def first_name(self) -> str:
        """What friends say."""
        return self.name.split()[0]

    @property
    def email(self) -> str:
        """An address that nobody can own."""
        return f"{self.name.lower().replace(' ', '.')}@example.com"


CUSTOMERS = (
    Person("u-1041", "Maya Lindgren", "Portland", "+1 503 555 0142", "4242 4242 4242 4242"),
    Person("u-1057", "Tomas Okafor", "Austin", "(512) 555-0117", "5555 5555 5555 4444"),
    Person("u-1088", "Hannah Weiss", "Cologne", "+1 212 555 0173", "4000 0566 5566 5556",
           "DE89 3704 0044 0532 0130 00"),
    Person("u-1102", "Priya Raman", "Seattle", "206-555-0161", "3782 822463 10005"),
    Person("u-1119", "Luca Ferrari", "Boston", "+1 617 555 0128", "5105 1051 0510 5100"),
    Person("u-1126", "Grace Adeyemi", "Chicago", "(312) 555-0184", "4111 1111 1111 1111"),
    Person("u-1133", "Owen Park", "Denver", "+1 303 555 0109", "6011 1111 1111 1117"),
    Person("u-1150", "Sofia Marques", "Miami", "305-555-0156", "5200 8282 8282 8210",
           "GB29 NWBK 6016 1331 9268 19"),
    Person("u-1164", "Noah Bergstrom", "Madison", "+1 608 555 0131", "4012 8888 8888 1881"),
    Person("u-1171", "Aiko Tanabe", "San Jose", "(408) 555-0192", "3566 0020 2036 0505"),
)  # fmt: skip

DEVELOPERS = (
    Person("dev-marta", "Marta Carvalho", "Lisbon", "+1 415 555 0103", ""),
    Person("dev-raj", "Raj Malhotra", "Toronto", "+1 415 555 0111", ""),
    Person("dev-ellen", "Ellen Sorensen", "Oslo", "+1 415 555 0127", ""),
)

ANALYSTS = (
    Person("an-bea", "Beatrice Novak", "Vienna", "+1 646 555 0119", ""),
    Person("an-kofi", "Kofi Mensah", "London", "+1 646 555 0138", ""),
)

SELLERS = (
    Person("ae-jonas", "Jonas Keller", "Berlin", "+1 718 555 0145", ""),
    Person("ae-lena", "Lena Duarte", "New York", "+1 718 555 0168", ""),
)
