"""Compares paths of files with patterns, however a path is written."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

import re2

from bartizan.guardrails.engine.prefilter import options

MOST_CHARACTERS = 4_096
"""No system takes a longer path."""

MAX_UNQUOTED = 2

_BETWEEN = re.compile(r"[\s\"'`;|&<>=(),{}]+")
_MAY_BE_PATH = re.compile(r"[/\\.~]")
_NEEDS_WORK = re.compile(r"[%\\\0\ud800-\udfff]|//|\./|/\.|file:")
_FILE_URL = re.compile(r"file:/{0,2}(?:localhost)?(?=/)", re.IGNORECASE)
_HOME = re.compile(
    r"\$\{?HOME\}?(?=/|$)|%USERPROFILE%|~[\w.-]*(?=/|$)|/home/[^/]+|/root|/Users/[^/]+"
    r"|[A-Za-z]:/Users/[^/]+",
    re.IGNORECASE,
)

_PART = re.compile(r"/\*\*$|\*\*/|\*\*|.", re.DOTALL)
_WILD = {"/**": "(?:/.*)?", "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Paths:
    """Patterns of paths: `/etc/**`, `~/.ssh/**`, `*.pem`. Case makes no difference."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compiles the patterns."""
        spelt = "|".join(map(_expression, patterns))
        self._any = re2.compile(f"(?is)(?:{spelt})", options())

    def __contains__(self, value: str) -> bool:
        """Returns True if the value is such a path, in any of its readings."""
        return any(self._any.fullmatch(path) is not None for path in _readings(value))


def words(value: str) -> Iterator[str]:
    """Yields what may be a path in a command line: all of it, and each word."""
    yield value
    yield from (
        word for word in _BETWEEN.split(value) if "/" in word or "." in word or "\\" in word
    )


def _expression(pattern: str) -> str:
    """Returns a pattern as an expression; one that begins nowhere may begin anywhere."""
    if not pattern.startswith(("/", "~", "**")) and not re.match("[A-Za-z]:", pattern):
        pattern = f"**/{pattern}"
    return _PART.sub(
        lambda part: _WILD.get(part[0]) or re.escape(part[0]), pattern.replace("\\", "/")
    )


def _readings(value: str) -> Iterator[str]:
    plain = value[:MOST_CHARACTERS]
    if _NEEDS_WORK.search(plain):
        plain = _plain(plain)
    yield plain
    if plain.startswith("../"):
        # What climbs may reach the root.
        yield f"/{plain.lstrip('./')}"
    home = _HOME.match(plain)
    if home is not None:
        yield f"~{plain[home.end() :]}"


def _plain(path: str) -> str:
    path = path.encode("utf-8", "replace").decode()
    for _ in range(MAX_UNQUOTED):
        path = unquote(path)
    path = _FILE_URL.sub("", path.replace("\\", "/").replace("\0", ""), count=1)
    return posixpath.normpath(path).replace("//", "/")
