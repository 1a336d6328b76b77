"""English prose about agents' work, from a seed: some of it with personal data in it."""

import random
from collections.abc import Callable

TEXT_CHARACTERS = 400
PII_EVERY = 50
"""One text in so many holds one piece of personal data."""
NUMBERED = 6
"""One sentence in so many holds numbers, as letters of customers and answers of tools do."""

_WHO = (
    "the customer", "our support team", "the planning agent", "a colleague from sales", "the buyer",
    "the night shift", "the reviewer", "a returning visitor", "the warehouse", "the account owner",
    "the new tenant", "an impatient caller", "the project lead", "the finance department",
)  # fmt: skip
_DID = (
    "asked for", "could not find", "wants to change", "was surprised by", "has finally approved",
    "keeps coming back to", "compared", "summarised", "politely declined", "needs help with",
    "read through", "forgot to mention", "would rather postpone", "complained about", "rewrote",
)  # fmt: skip
_WHAT = (
    "the delivery to the second address", "a refund for the broken lamp", "the quarterly report",
    "an earlier conversation about pricing", "the terms of the annual plan", "the missing invoice",
    "a list of open questions", "the draft of the announcement", "the results of the last search",
    "a shorter answer with fewer details", "the order of the steps", "the weather in the mountains",
    "the migration of the old database", "the instructions in the manual", "a seat by the window",
)  # fmt: skip
_HOW = (
    "because nothing had changed since last week", "before the end of the month", "without delay",
    "although the policy is quite clear about it", "as soon as the parts arrive", "once more",
    "in plain words that anybody understands", "with a link to the source", "for the third time",
    "and hopes to hear from us today", "after a long discussion with everybody involved", "at last",
    "so that the next person does not have to ask again", "while the system was being upgraded",
)  # fmt: skip
_OPENINGS = (
    "", "", "", "As far as we know, ", "In short, ", "Unfortunately, ", "According to the notes, ",
    "To be fair, ", "In the meantime, ", "On the other hand, ", "Please note that ",
)  # fmt: skip


class Prose:
    """An endless source of texts; the same seed gives the same texts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._texts = 0
        self._secret_place = 0
        self._secrets = 0
        self._kinds: tuple[Callable[[], str], ...] = (
            self._email, self._phone, self._card, self._ssn, self._iban, self._ip,
        )  # fmt: skip

    def text(self) -> str:
        """Returns a text of about 400 characters; one in fifty holds personal data."""
        sentences: list[str] = []
        length = 0
        while length < TEXT_CHARACTERS - 40:
            sentence = self._sentence()
            sentences.append(sentence)
            length += len(sentence) + 1
        if self._is_next_secret():
            place = self._random.randrange(len(sentences))
            sentences[place] = self._kinds[self._secrets % len(self._kinds)]()
            self._secrets += 1
        return " ".join(sentences)

    def _is_next_secret(self) -> bool:
        """Exactly one in every block of fifty, at a place that changes."""
        place = self._texts % PII_EVERY
        if place == 0:
            self._secret_place = self._random.randrange(PII_EVERY)
        self._texts += 1
        return place == self._secret_place

    def _sentence(self) -> str:
        pick = self._random.choice
        if self._random.randrange(NUMBERED) == 0:
            return self._numbered()
        text = f"{pick(_OPENINGS)}{pick(_WHO)} {pick(_DID)} {pick(_WHAT)} {pick(_HOW)}."
        return text[0].upper() + text[1:]

    def _numbered(self) -> str:
        some, pick = self._random.randrange, self._random.choice
        return pick(
            (
                f"Order {some(10_000, 99_999)} holds {some(2, 40)} items and costs"
                f" ${some(5, 900)}.{some(10, 99)}.",
                f"The meeting moved from {some(1, 12)}:30 to {some(1, 12)}:45 on"
                f" {some(1, 28)} March 2026.",
                f"Version {some(1, 9)}.{some(0, 30)} is {some(2, 60)} % faster than the last one.",
                f"Ticket #{some(100, 9999)} waited {some(2, 90)} minutes in queue {some(1, 9)}.",
            )
        )

    def _digits(self, count: int) -> str:
        return "".join(self._random.choices("0123456789", k=count))

    def _email(self) -> str:
        first = self._random.choice(("anna", "brook", "chidi", "dmitri", "esra", "finn"))
        return f"You can write to {first}.{self._random.randrange(999)}@example.com about it."

    def _phone(self) -> str:
        return f"The phone number is +1 415 555 {self._random.randrange(2000, 9999)}."

    def _card(self) -> str:
        body = f"4{self._digits(14)}"
        return f"She paid with the credit card {body}{luhn_digit(body)}."

    def _ssn(self) -> str:
        some = self._random.randrange
        return f"His social security number is {some(520, 580)}-{some(10, 99)}-{some(1000, 9999)}."

    def _iban(self) -> str:
        account = self._digits(18)
        return f"The IBAN for the refund is DE{iban_check('DE', account):02d}{account}."

    def _ip(self) -> str:
        some = self._random.randrange
        return f"The last login came from the address 185.{some(10, 250)}.{some(250)}.{some(250)}."


def luhn_digit(body: str) -> int:
    """Returns the check digit that makes a card number of `body`."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


def iban_check(country: str, account: str) -> int:
    """Returns the two check digits of an IBAN."""
    moved = account + "".join(str(int(letter, 36)) for letter in country) + "00"
    return 98 - int(moved) % 97
