"""Places where only a secret stands: in URLs, connection strings, headers, `.netrc`, sentences."""

import re

from bartizan.guardrails.secrets_found import Basis, Detector, Found
from bartizan.guardrails.secrets_names import PASSWORD, TOKEN
from bartizan.guardrails.secrets_strength import password_strength
from bartizan.guardrails.secrets_values import (
    decoded_pair,
    is_code,
    is_placeholder,
    is_random,
)

IN_URL, CONNECTION_STRING, BASIC_AUTH = "url_password", "connection_string", "basic_auth"

IN_ITS_PLACE = 0.9
"""Whatever stands there is the secret, however weak it is."""

IN_A_SENTENCE = 0.6

LEAST_CHARACTERS = 3
LEAST_TOKEN_CHARACTERS = 16
REACH_CHARACTERS = 200

_BESIDE_A_PASSWORD = re.compile(
    r"(?:server|data source|host|hostname|user ?id|uid|user|username|dbname|database|addr"
    r"|initial catalog|port|driver|endpoint)[ ]?=",
    re.IGNORECASE,
)
_UNTIL_SEMICOLON = re.compile(r"[^\s\"';,&()\\]{3,128}+")
_TOKEN = re.compile(r"[0-9A-Za-z._~+/=|:-]{8,2000}+")
_WORD = re.compile(r"[^\s\"'`\\<>]{3,200}+")
_AFTER_A_VALUE = ".,:;?)]}"


def url_password(text: str, start: int, end: int) -> Found | None:
    """Returns the password of `scheme://user:password@host`."""
    user, _, rest = text[start + len("://") : end].partition(":")
    at = end - len(rest)
    last = rest.rfind("@")
    password = rest[:last]
    if len(password) < LEAST_CHARACTERS or password == user or is_placeholder(password):
        return None
    return Found(IN_URL, at, at + last, IN_ITS_PLACE, Basis.PLACE)


def connection_string(text: str, start: int, end: int) -> Found | None:
    """Returns the password among `Server=…;User Id=…;Password=…`."""
    value = _UNTIL_SEMICOLON.match(text, end)
    if value is None or is_placeholder(value[0]) or _is_an_argument(text, start, value.end()):
        return None
    before = text[max(0, end - REACH_CHARACTERS) : end].rpartition("\n")[2]
    after = text[value.end() : value.end() + REACH_CHARACTERS].partition("\n")[0]
    if not (_BESIDE_A_PASSWORD.search(before) or _BESIDE_A_PASSWORD.search(after)):
        return None
    return Found(CONNECTION_STRING, *value.span(), IN_ITS_PLACE, Basis.PLACE)


def _is_an_argument(text: str, start: int, end: int) -> bool:
    """Returns True between the brackets and commas of a call."""
    before = text[max(0, start - REACH_CHARACTERS) : start].rstrip()
    return before.endswith((",", "(")) or text.startswith((",", "("), end)


def bearer(text: str, _: int, end: int) -> Found | None:
    """Returns the token after `Bearer`, if it was made by a generator."""
    token = _TOKEN.match(text, end)
    if token is None or len(token[0]) < LEAST_TOKEN_CHARACTERS:
        return None
    found = token[0].rstrip(_AFTER_A_VALUE)
    if is_placeholder(found) or is_code(found) or not is_random(found):
        return None
    return Found(TOKEN, end, end + len(found), IN_ITS_PLACE, Basis.PLACE)


def basic(text: str, _: int, end: int) -> Found | None:
    """Returns the name and password after `Basic`, if they are of base64."""
    token = _TOKEN.match(text, end)
    pair = decoded_pair(token[0]) if token is not None else None
    if token is None or pair is None or is_placeholder(pair[1]) or not pair[1]:
        return None
    return Found(BASIC_AUTH, *token.span(), IN_ITS_PLACE, Basis.PLACE)


def netrc(text: str, _: int, end: int) -> Found | None:
    """Returns the password of `machine … login … password …`."""
    return _given(text, end)


def curl_user(text: str, start: int, end: int) -> Found | None:
    """Returns the password of `curl -u name:password`."""
    line = text[max(0, start - REACH_CHARACTERS) : start].rpartition("\n")[2]
    return _given(text, end) if "curl" in line or "http" in line else None


def spoken(text: str, _: int, end: int) -> Found | None:
    """Returns the password of `the password is …`."""
    word = _WORD.match(text, end)
    if word is None:
        return None
    found = word[0].rstrip(_AFTER_A_VALUE)
    if not any(map(str.isdigit, found)) and not found.endswith(tuple("!@#$%^&*")):
        return None
    if not password_strength(found, quoted=text[end - 1] in "\"'`\u201c\u2018"):
        return None
    return Found(PASSWORD, end, end + len(found), IN_A_SENTENCE, Basis.WORDING)


def spoken_token(text: str, _: int, end: int) -> Found | None:
    """Returns the key of `the API key is …`."""
    found = bearer(text, end, end)
    return found and found._replace(score=IN_A_SENTENCE, basis=Basis.WORDING)


def _given(text: str, at: int) -> Found | None:
    word = _WORD.match(text, at)
    if word is None or is_placeholder(word[0]):
        return None
    return Found(PASSWORD, *word.span(), IN_ITS_PLACE, Basis.PLACE)


def _one(category: str) -> frozenset[str]:
    return frozenset({category})


DETECTORS = (
    Detector(
        _one(IN_URL),
        r"://[^\s/?#:\"'<>`\\]{0,100}:[^\s/?\"'<>`\\]{3,200}@",
        url_password,
        r"://[^\s/?#:\"'<>`\\]*:[^\s/?\"'<>`\\]*@",
    ),
    Detector(_one(CONNECTION_STRING), "(?i)(?:password|pwd)[ ]?=[ ]?", connection_string),
    Detector(
        _one(TOKEN),
        r"(?i)bearer[ \t]{1,3}|authorization[\"'\\]{0,4}[ ]?[:=,][ ]?[\"'\\]{0,4}"
        r"(?:token|apikey|api-key|key|negotiate|ntlm)[ =]",
        bearer,
        r"(?i)bearer[ \t]+\S|authorization[\"'\\]*[ ]?[:=,]",
    ),
    Detector(_one(BASIC_AUTH), r"(?i)basic[ \t]{1,3}", basic, r"(?i)basic[ \t]+[0-9A-Za-z+/]{6}"),
    Detector(
        _one(PASSWORD),
        r"(?i)login[ \t\n]{1,4}\S{1,64}[ \t\n]{1,4}password[ \t\n]{1,4}",
        netrc,
        r"(?i)login[ \t\n]+\S+[ \t\n]+password[ \t\n]",
    ),
    Detector(
        _one(PASSWORD),
        r"(?:-u|--user)[ =][\"']?[^\s:\"'@]{0,64}:",
        curl_user,
        r"(?:-u|--user)[ =][\"']?[^\s:\"'@]*:",
    ),
    Detector(
        _one(PASSWORD),
        r"(?i)(?:password|passwd|passphrase|passcode|pwd|pw)(?:[ ]{1,2}(?:is|was|to|of|as|be))?"
        r"[ ]{1,2}[\"'`\x{201c}\x{2018}]?",
        spoken,
        r"(?i)(?:password|passwd|passphrase|passcode|pwd|pw)[ ]",
    ),
    Detector(
        _one(TOKEN),
        r"(?i)(?:api key|access key|secret key|secret|token|credentials?)[ ](?:is|was|to|as)"
        r"[ ]{1,2}[\"'`\x{201c}\x{2018}]?",
        spoken_token,
    ),
)
