"""Where presidio's recognizers do not find what a reader would."""

from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    UsSsnRecognizer,
)

from bartizan.guardrails.pii_score import SAMPLE_SSNS

EMAILS = [
    Pattern(
        "E-mail address",
        r"\b\w(?:[\w.+'~-]*[\w+~-])?@\w+(?:-+\w+)*(?:\.\w+(?:-+\w+)*)+\b",
        0.5,
    ),
]
"""presidio takes for a part of it what stands before it in a URL: `?email=`."""

CARDS = [
    *CreditCardRecognizer.PATTERNS,
    Pattern(
        "12 to 19 digits",
        r"(?<![\w.+-])(?:[3-6]\d{3}|2[1-7]\d\d|1800|8[12]\d\d)[- ]?\d{4}[- ]?\d{4}"
        r"(?:[- ]?\d{1,4}(?:[- ]?\d{1,3})?)?(?!\w|[-.]\d)",
        0.3,
    ),
]
"""Mastercard's 2 series too, and what is as long as few cards are."""

MISTYPED_CARDS = [
    Pattern(
        "Sixteen digits in fours",
        r"(?<![\w.+-])(?:4\d|5[1-5]|2[2-7]|6[0245]|3[568])\d\d"
        r"([- ])\d{4}\1\d{4}\1\d{4}(?!\w|[-.]\d)",
        0.2,
    ),
]
"""Counts only beside a telling word: the check digit is wrong."""


class SocialSecurity(UsSsnRecognizer):
    """Takes the numbers of examples as well: beside a telling word they are meant as one."""

    def invalidate_result(self, pattern_text: str) -> bool:
        """Returns True for what cannot be meant as one."""
        digits = "".join(char for char in pattern_text if char.isdecimal())
        return digits not in SAMPLE_SSNS and super().invalidate_result(pattern_text)


def own_recognizers() -> dict[str, list[PatternRecognizer]]:
    """Returns what is run instead of presidio's recognizer of an entity, by the entity."""
    mistyped = PatternRecognizer(
        "CREDIT_CARD", patterns=list(MISTYPED_CARDS), context=CreditCardRecognizer.CONTEXT
    )
    return {
        "EMAIL_ADDRESS": [EmailRecognizer(patterns=list(EMAILS))],
        "CREDIT_CARD": [CreditCardRecognizer(patterns=list(CARDS)), mistyped],
        "US_SSN": [SocialSecurity()],
    }
