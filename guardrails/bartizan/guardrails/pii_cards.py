"""Which card numbers are given out: by their first digits and their length."""

from collections.abc import Iterator

NETWORKS = (
    ("4", "4", (16,)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14, 16)),
    ("6011", "6011", (16,)),
    ("62", "62", (16, 17, 18, 19)),
    ("644", "659", (16,)),
    ("3528", "3589", (16,)),
    ("2131", "2131", (15,)),
    ("1800", "1800", (15,)),
    ("2200", "2204", (16,)),
    ("60", "60", (16,)),
    ("81", "82", (16,)),
    ("50", "50", (16,)),
    ("56", "58", (16,)),
    ("630", "639", (16,)),
    ("67", "67", (16,)),
)
"""First digits from and to, and how many digits there are: what is in use today."""


def is_issued(number: str) -> bool:
    """Returns True if some network gives out cards with such a number."""
    digits = "".join(char for char in number if char.isdecimal())
    return any(_of(digits))


def _of(digits: str) -> Iterator[bool]:
    for first, last, lengths in NETWORKS:
        yield len(digits) in lengths and first <= digits[: len(first)] <= last
