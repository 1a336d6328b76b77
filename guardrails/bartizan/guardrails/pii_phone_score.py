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

OTHER_NUMBER = re.compile(
    r"(?:order|invoice|ticket|case|ref(?:erence)?|part|batch|tracking|transaction|request|job|build"
    r"|version|serial|sku|item|product|policy|claim|model|id)(?:[ _](?:no\.?|num|number|id))?"
    r"[ :#=.'\"]{1,4}\Z",
    re.IGNORECASE,
)
"""What names a number that has nothing to do with a telephone, right before it."""

LETTER = re.compile(r"[^\W\d_]")


def phone_score(text: str, start: int, end: int) -> float:
    """Returns how sure one can be that a stretch is a telephone number."""
    form = _form(text, start, end)
    if form == PLAIN_DIGITS and OTHER_NUMBER.search(text, max(0, start - 24), start):
        return form
    if form > DECIMAL and WORDS.stands_before(text, start):
        return boosted(form)
    return form


def may_count(text: str, start: int, end: int, whole: bool, least: float, around: float) -> bool:
    """Returns False if no telephone number in a stretch scores `least` and more than `around`.

    The stretch begins with its first digit and holds what may stand between the digits of one.
    Only a `whole` stretch can be a date: part of one can be part of a number.
    """
    if around >= 1.0:
        return False
    core = text[start:end].rstrip(AFTER_A_NUMBER)
    lead = text[max(0, start - LEAD_LENGTH) : start]
    best = NEVER if whole and DATE.fullmatch(core) else _best_alone(core, lead)
    if best >= least and best > around:
        return True
    with_words = boosted(best) if best > NEVER else NEVER
    if with_words < least or with_words <= around:
        return False
    # Letters inside may be telling to a number after them.
    return bool(LETTER.search(core)) or WORDS.stands_before(text, start)


def _best_alone(core: str, lead: str) -> float:
    if any(sign in lead for sign in PLUS):
        return INTERNATIONAL
    return PLAIN_DIGITS if NUMBER.fullmatch(core) else GROUPED


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
