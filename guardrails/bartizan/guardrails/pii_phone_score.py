"""How sure one can be that digits are a telephone number: how they are written, and after what."""

import re

from bartizan.guardrails.pii_score import PART_OF_A_NAME, Telling, boosted

WORDS = Telling(
    (
        "phone", "telephone", "cell", "cellphone", "mobile", "tel", "fax", "whatsapp", "sms",
        "landline", "contact number", "call me", "call us", "call back", "text me", "dial",
    )
)  # fmt: skip
"""Not `number` and `call` alone: order numbers and tool calls are everywhere in traces."""

INTERNATIONAL = 0.75
GROUPED = 0.5
PLAIN_DIGITS = 0.25
DECIMAL = 0.05
NEVER = 0.0

PLUS = "+\uff0b"
LEAD = re.compile(r"[+\uff0b(\[\uff08\uff3b]")
LEAD_LENGTH = 10

AFTER_A_NUMBER = " .-)/]:,;"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
DECIMAL_NUMBER = re.compile(r"\d+\.\d+")
DATE = re.compile(
    r"(?:19|20)\d{2}-\d{2}-\d{2}(?:[ -]\d{1,2})?"
    r"|\d{1,2}([./-])\d{1,2}\1(?:19|20)\d{2}"
    r"|(?:1[5-9]|20)\d{2} ?[-\u2013] ?(?:1[5-9]|20)\d{2}"
)
"""A day, perhaps with the hour, or a span of years."""

LETTER = re.compile(r"[^\W\d_]")


def phone_score(text: str, start: int, end: int) -> float:
    """Returns how sure one can be that a stretch is a telephone number."""
    form = _form(text, start, end)
    if form > DECIMAL and WORDS.stands_before(text, start):
        return boosted(form)
    return form


def best_phone_score(text: str, start: int, end: int) -> float:
    """Returns a score that no telephone number in a stretch exceeds.

    The stretch begins with its first digit and holds what may stand between the digits of one.
    """
    core = text[start:end].rstrip(AFTER_A_NUMBER)
    if DATE.fullmatch(core):
        return NEVER
    best = PLAIN_DIGITS if NUMBER.fullmatch(core) else GROUPED
    if any(sign in text[max(0, start - LEAD_LENGTH) : start] for sign in PLUS):
        best = INTERNATIONAL
    # Letters inside may be telling to a number after them.
    return boosted(best) if LETTER.search(core) or WORDS.stands_before(text, start) else best


def reach(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns where a telephone number of a stretch may begin at the earliest and must end."""
    low = max(0, start - LEAD_LENGTH)
    lead = LEAD.search(text, low, start)
    return (lead.start() if lead else start), start + len(text[start:end].rstrip(AFTER_A_NUMBER))


def _form(text: str, start: int, end: int) -> float:
    found = text[start:end]
    if found.lstrip("([ ").startswith(tuple(PLUS)):
        return INTERNATIONAL
    if _is_decimal(text, start, end):
        return DECIMAL
    if start >= 2 and text[start - 1] in "-_." and text[start - 2].isalnum():
        return PART_OF_A_NAME
    return PLAIN_DIGITS if found.strip("()[] ").isdecimal() else GROUPED


def _is_decimal(text: str, start: int, end: int) -> bool:
    if DECIMAL_NUMBER.fullmatch(text, start, end):
        return True
    is_fraction = start >= 2 and text[start - 1] == "." and text[start - 2].isdecimal()
    return is_fraction and text[start:end].isdecimal()
