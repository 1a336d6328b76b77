"""Finds the verbs of SQL in a text, whatever is quoted or commented out in it."""

import re
from collections.abc import Iterable

import re2

from bartizan.guardrails.engine.prefilter import options

# What is never closed goes to the end, or is none: to look for its end again and again takes long.
_GAP = r"/\*(?!!)(?:.*?\*/|.*)|/\*!\d*|\*/"
_NAMES = r"`[^`]*`|\[[^\[\]\n]{0,128}\]"
_STANDARD = rf"""(?P<gap>{_GAP}|--[^\n]*)|'(?:[^']|'')*+'|"(?:[^"]|"")*+"|{_NAMES}"""
_MYSQL = (
    rf"(?P<gap>{_GAP}|--(?=\s)[^\n]*|\#[^\n]*)|'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
    rf'|"(?:[^"\\]|\\.|"")*+(?:"|\Z)|{_NAMES}'
)
_READINGS = tuple(re.compile(reading, re.DOTALL) for reading in (_STANDARD, _MYSQL))
"""What is quoted and what is a comment differs: each hides a verb that the other shows."""


class Verbs:
    """Some verbs: `DROP`, `DELETE`, `ALTER USER`."""

    def __init__(self, verbs: Iterable[str]) -> None:
        """Compiles the verbs."""
        spelt = "|".join(r"\s+".join(map(re2.escape, verb.split())) for verb in verbs)
        # `replace(` is a function, and `t.update` a column.
        self._verb = re2.compile(rf"(?i)(?:^|[^\w.])(?:{spelt})(?:$|[^\w(])", options())

    def __contains__(self, text: str) -> bool:
        return any(
            self._verb.search(reading.sub(_plain, text).encode("utf-8", "replace").decode())
            for reading in _READINGS
        )


def _plain(match: re.Match[str]) -> str:
    return " " if match["gap"] is not None else " '' "
