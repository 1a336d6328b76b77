"""Private keys as blocks: PEM, PGP, PuTTY and JSON Web Keys."""

import re

from bartizan.guardrails.secrets_checks import STRUCTURE
from bartizan.guardrails.secrets_found import Basis, Detector, Found
from bartizan.guardrails.secrets_values import entropy, is_wordy

PRIVATE_KEY = "private_key"

LEAST_KEY_CHARACTERS = 40
"""An Ed25519 key has 64; less than this is an example."""

LEAST_BITS_PER_CHARACTER = 4.0
JUDGED_CHARACTERS = 1_000
REACH_OF_A_JSON_WEB_KEY_CHARACTERS = 2_000

DASHES = "-----"
_BREAK = r"(?:\\++[rnt]|\s)"
_HEADERS = re.compile(rf"(?:{_BREAK}*+[A-Z][A-Za-z-]{{2,20}}: [^\n\\]{{0,200}})*")
_AROUND = re.compile(rf"(?:{_BREAK}|[\"'`+,#>|*])*+")
_WHOLE_BODY = re.compile(r"(?:[0-9A-Za-z+/=\s\"'`,#>|*.:;@_()-]|\\++[rntu/\"])*+")
_CUT_BODY = re.compile(rf"(?:[0-9A-Za-z+/=]{{16,}}+{_BREAK}*+)*+")
_KEY = re.compile(r"[0-9A-Za-z+/]+")
_ESCAPE = re.compile(r"\\+[rnt]")
_LAST_BREAKS = re.compile(r"(?:\\++[rnt]|[\s\"'`+,#>|*])*+\Z")
_LONGEST_BREAK_CHARACTERS = 24

_PUTTY_LINES = re.compile(rf"{_BREAK}{{1,2}}((?:[0-9A-Za-z+/=]{{1,64}}+{_BREAK}{{0,2}})++)")
_NUMBER = re.compile(r"\s{0,5}:\s{0,5}\\{0,3}\"([0-9A-Za-z_-]{42,1400})\\{0,3}\"")


def block(text: str, _: int, header_end: int) -> Found | None:
    """Returns the body of a block of PEM, without the lines that begin and end it.

    It ends at the next dashes; if the text is cut before, where nothing of a key follows.
    """
    headers = _HEADERS.match(text, header_end)
    start = headers.end() if headers else header_end
    around = _AROUND.match(text, start)
    start = around.end() if around else start
    end = text.find(DASHES, start)
    if end < 0 or not _WHOLE_BODY.fullmatch(text, start, end):
        cut = _CUT_BODY.match(text, start)
        end = cut.end() if cut else start
    return _private_key(text, start, end)


def putty(text: str, _: int, head_end: int) -> Found | None:
    """Returns the lines of base64 after `Private-Lines: 14`."""
    lines = _PUTTY_LINES.match(text, head_end)
    return _private_key(text, *lines.span(1)) if lines is not None else None


def json_web_key(text: str, _: int, head_end: int) -> Found | None:
    """Returns a private number of a JSON Web Key."""
    match = _NUMBER.match(text, head_end)
    if match is None:
        return None
    start, end = match.span(1)
    reach = REACH_OF_A_JSON_WEB_KEY_CHARACTERS
    if '"kty' not in text[max(0, start - reach) : end + reach]:
        return None
    return Found(PRIVATE_KEY, start, end, STRUCTURE, Basis.FORMAT)


def _private_key(text: str, start: int, end: int) -> Found | None:
    end = _before_last_breaks(text, start, end)
    sample = _ESCAPE.sub(" ", text[start : min(end, start + JUDGED_CHARACTERS)])
    key = "".join(_KEY.findall(sample))
    if len(key) < LEAST_KEY_CHARACTERS or entropy(key) < LEAST_BITS_PER_CHARACTER:
        return None
    if is_wordy(key):
        return None
    return Found(PRIVATE_KEY, start, end, STRUCTURE, Basis.FORMAT)


def _before_last_breaks(text: str, start: int, end: int) -> int:
    breaks = _LAST_BREAKS.search(text, max(start, end - _LONGEST_BREAK_CHARACTERS), end)
    return breaks.start() if breaks is not None else end


_CATEGORIES = frozenset({PRIVATE_KEY})

DETECTORS = (
    Detector(
        _CATEGORIES, "-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----", block, "-----BEGIN "
    ),
    Detector(_CATEGORIES, "(?i)Private-Lines: [0-9]{1,3}", putty),
    Detector(_CATEGORIES, r'"(?:d|p|q|dp|dq|qi|k)\\{0,3}"', json_web_key),
)
