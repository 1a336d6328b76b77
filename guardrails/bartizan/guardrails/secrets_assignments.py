"""Values that are given to a name: `"api_key": "…"`, `PASSWORD=…`, `--token …`, `<password>…`."""

import re

from bartizan.guardrails.secrets_found import Basis, Detector, Found
from bartizan.guardrails.secrets_names import CATEGORIES, category_of
from bartizan.guardrails.secrets_strength import RANDOM_UNDER_A_NAME, strength

LONGEST_NAME_CHARACTERS = 48
LONGEST_VALUE_CHARACTERS = 2_000

LEAST_SCORE = 0.1

VERBS = ("pass", "key")
"""`Pass "…" on.`"""

_KEYWORDS = (
    "passw(?:or)?[dt]|passphrase|passcode|pass|pswd|psw|pwd?|secret|token|credential|creds|auth|key"
)
_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
_REST = "[0-9A-Za-z_.-]{0,40}"
QUOTES = "\"'`"
_QUOTE = r"\\{0,7}[\"'`]"

_TYPE = (
    r"(?:str|String|string|bytes|SecretStr|&(?:'static )?str|Optional\[str\]|Final(?:\[str\])?"
    r"|text|any)(?: ?\| ?None)?"
)
_VALUE_OF = rf"[\s,]{{1,24}}(?:{_QUOTE})?(?i:value)(?:{_QUOTE})?[ ]?[:=]"
_GIVEN = re.compile(
    rf"(?P<rest>{_REST})(?P<closed>{_QUOTE}\]?)?(?P<given>"
    rf"[ \t]{{0,4}}:?[ ]?{_TYPE}[ ]?=(?!=)|{_VALUE_OF}|[ \t]{{0,8}}(?:[!?.+|:]{{0,3}}={{1,2}}>?|:)"
    rf"|[ ]?,(?=[ ]{{0,2}}{_QUOTE})|\((?={_QUOTE})|[ \t]{{1,4}}(?={_QUOTE})|>(?:\n[ \t]*)?)"
    r"[ \t]{0,8}"
)
_LENGTH = f"{{3,{LONGEST_VALUE_CHARACTERS}}}+"


def _between(quote: str) -> str:
    return rf"\\{{0,7}}{quote}((?:[^{quote}\\\s]|\\/|\\u[0-9a-fA-F]{{4}}){_LENGTH})"


_QUOTED = re.compile(rf"(?:{'|'.join(map(_between, QUOTES))})(?={_QUOTE}|\Z)")
_BARE = re.compile(rf"[^\s\"'`,;:<>\\&=(){{}}\[\]|]{_LENGTH}={{0,2}}")
_WHOLE_WORD = re.compile(rf"[^\s\"'`\\]{_LENGTH}")
_AFTER_A_VALUE = ".,:;?)]}"


def assignment(text: str, start: int, _: int) -> Found | None:
    """Returns the value that is given to the name around `start`, if it is a secret."""
    match = _GIVEN.match(text, start)
    if match is None:
        return None
    name_start = _name_start(text, start)
    name = text[name_start : match.end("rest")]
    if not _may_be_given(name, match["given"].strip(), match["closed"] is not None):
        return None
    category = category_of(name)
    if category is None:
        return None
    at, end, quoted = _value(text, match.end(), _is_in_an_environment(text, name_start))
    score = strength(category, name, text[at:end], quoted)
    if score < (RANDOM_UNDER_A_NAME if _is_in_a_list(name, match["given"]) else LEAST_SCORE):
        return None
    # `the password "…"`: nothing between but a space.
    basis = Basis.NAME if match["given"].strip() else Basis.WORDING
    return Found(category, at, end, score, basis)


def after_a_flag(text: str, start: int, end: int) -> Found | None:
    """Returns the value after `--password` and `ENV API_KEY`."""
    name = text[start : end - 1].rpartition(" ")[2]
    category = category_of(name)
    if category is None:
        return None
    at, value_end, _ = _value(text, end, in_an_environment=True)
    score = strength(category, name, text[at:value_end], quoted=True)
    return Found(category, at, value_end, score, Basis.NAME) if score else None


def _is_in_a_list(name: str, sign: str) -> bool:
    return sign.strip() == "," and not name.startswith("-")


def _may_be_given(name: str, sign: str, closed: bool) -> bool:
    if not sign:
        return name.lower() not in VERBS
    # `"TOKEN", "…"` and `OPTION_TOKEN, "…"`, but not `a token, "…"`.
    return sign != "," or closed or name.isupper()


def _name_start(text: str, start: int) -> int:
    before = text[max(0, start - LONGEST_NAME_CHARACTERS) : start]
    return start - len(before) + len(before.rstrip(_NAME_CHARACTERS))


def _value(text: str, at: int, in_an_environment: bool) -> tuple[int, int, bool]:
    if quoted := _QUOTED.match(text, at):
        return *quoted.span(quoted.lastindex or 0), True
    bare = (_WHOLE_WORD if in_an_environment else _BARE).match(text, at)
    found = bare[0].rstrip(_AFTER_A_VALUE) if bare is not None else ""
    return at, at + len(found), False


def _is_in_an_environment(text: str, name_start: int) -> bool:
    """Returns True for `NAME=…` at the start of a line: its value is all the rest."""
    line = text[max(0, name_start - len("\nexport ")) : name_start].rpartition("\n")[2]
    return line in ("", "export ") and text[name_start : name_start + 1].isupper()


_SIGN = (
    rf"(?:[ \t]{{0,8}}(?:[=:,>(]|[!?.+|]{{1,3}}=)|[ \t]{{1,4}}{_QUOTE}|[ ]?(?:string|str) "
    r"|[\s,]{1,24}[\"'\\]{0,9}value)"
)
_SWITCH = r"(?:[ \t]--?|(?:ARG|ENV|SETX?|#define) )"

DETECTORS = (
    Detector(
        CATEGORIES,
        rf"(?i)(?:{_KEYWORDS}){_REST}[\"'`\\\]]{{0,9}}{_SIGN}",
        assignment,
        rf"(?i)(?:{_KEYWORDS})[0-9A-Za-z_.-]*[\"'`\\\]]*"
        r"(?:[ \t]*(?:[=:,>(]|[!?.+|]+=)|[ \t]+[\\\"'`]|[ ]?str|[\s,]+[\"'\\]*value)",
    ),
    Detector(
        CATEGORIES,
        rf"(?i){_SWITCH}[0-9a-z_-]{{0,30}}(?:{_KEYWORDS})[0-9a-z_-]{{0,16}}[ \t]",
        after_a_flag,
        rf"(?i){_SWITCH}[0-9a-z_-]*(?:{_KEYWORDS})[0-9a-z_-]*[ \t]",
    ),
)
