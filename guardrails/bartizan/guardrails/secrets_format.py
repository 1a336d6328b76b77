"""A form of a secret that can be told by itself, wherever it stands."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from bartizan.guardrails.secrets_checks import CHECKSUM, STRUCTURE
from bartizan.guardrails.secrets_found import Basis, Detector, Found
from bartizan.guardrails.secrets_values import is_monotonous, is_placeholder, is_run, is_wordy

Check = Callable[[str], float]

ESCAPES = "nrtbf"

LEAST_TAIL_CHARACTERS = 8

LONG_CHARACTERS = 100
"""From here on chance spells words, and nobody writes a placeholder."""

MADE_UP = 0.5
"""Of the right form, but `1234567890abcdef…`: somebody may have chosen it."""


def alnum(least: int, most: int | None = None) -> str:
    """Returns an expression for letters and digits."""
    return f"[0-9A-Za-z]{_count(least, most)}"


def word(least: int, most: int | None = None) -> str:
    """Returns an expression for the letters of base64 in URLs."""
    return f"[0-9A-Za-z_-]{_count(least, most)}"


def base64(least: int, most: int | None = None) -> str:
    """Returns an expression for the letters of base64, and what pads it."""
    return f"[0-9A-Za-z+/]{_count(least, most)}={{0,2}}"


def hexa(least: int, most: int | None = None) -> str:
    """Returns an expression for hexadecimal digits in lower case."""
    return f"[0-9a-f]{_count(least, most)}"


def _count(least: int, most: int | None) -> str:
    return f"{{{least}}}" if most is None else f"{{{least},{most}}}"


@dataclass(frozen=True, slots=True)
class Format:
    """A form of a secret.

    Attributes:
        category: without the `secret.` before it.
        head: how it begins, for RE2 and `re` alike; enough to be rare in other texts.
        tail: what follows, for `re`. If it has a group, that is the secret part.
        check: what else is checked of the secret part; returns the score, 0 for none.
        apart: characters besides letters and digits that may stand neither before nor after it.
            What has no fixed length needs all of its own: it is looked at once in a long run.
        hint: for heads that begin with any letters: what they hold, see `Detector`.
    """

    category: str
    head: str
    tail: str
    check: Check | None = None
    apart: str = ""
    hint: str = ""

    def detector(self) -> Detector:
        """Returns what finds it."""
        form = re.compile(f"(?:{self.head})(?:{self.tail})(?![0-9A-Za-z{self.apart}])")

        def look(text: str, start: int, head_end: int) -> Found | None:
            if not _stands_apart(text, start, self.apart):
                return None
            match = form.match(text, start)
            return self._found(match, head_end) if match is not None else None

        return Detector(frozenset({self.category}), self.head, look, self.hint)

    def _found(self, match: re.Match[str], head_end: int) -> Found | None:
        start, end = match.span(1 if match.re.groups else 0)
        secret = match.string[start:end]
        tail = match.string[head_end:end]
        if _says_something(tail) or (len(secret) < LONG_CHARACTERS and is_placeholder(secret)):
            return None
        score = STRUCTURE if self.check is None else self.check(secret)
        if is_run(tail):
            score = min(score, MADE_UP)
        basis = Basis.CHECKSUM if score == CHECKSUM else Basis.FORMAT
        return Found(self.category, start, end, score, basis) if score else None


def _says_something(tail: str) -> bool:
    if len(tail) < LEAST_TAIL_CHARACTERS:
        return False
    # Words are rarely written in capitals alone, and chance often makes some of those.
    return is_monotonous(tail) or (not tail.isupper() and is_wordy(tail))


def _stands_apart(text: str, start: int, apart: str) -> bool:
    if not start or not text[start].isalnum():
        return True
    before = text[start - 1]
    if not (before.isascii() and before.isalnum()):
        return before not in apart
    return _ends_an_escape(text, start)


def _ends_an_escape(text: str, start: int) -> bool:
    """Returns True after `\\n`, `\\u0022`, `%3D` or a change of colour."""
    if text[start - 1] == "m" and "\x1b[" in text[max(0, start - 8) : start]:
        return True
    if text[start - 1] in ESCAPES and text[start - 2 : start - 1] == "\\":
        return True
    return text[start - 6 : start - 4] == "\\u" or text[start - 3 : start - 2] == "%"
