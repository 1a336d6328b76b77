"""Writes texts from rules of phrases: the same seed gives the same texts.

A file of phrases has sections, each with one phrase per line. `{name}` in a phrase stands for any
phrase of the section of that name, `(one|other|)` for any of its parts.
"""

import random
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
SLOT = re.compile(r"\{([a-z_0-9]+)\}")
DEEPEST = 12
"""Phrases that hold themselves come to an end."""

ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
HIDDEN = 0xE000
"""Characters that are meant literally go through as private ones."""
SHOWN = re.compile("[\ue000-\ue07f]")

Sections = Mapping[str, Sequence[str]]


def read_sections(*names: str) -> dict[str, list[str]]:
    """Returns the sections of files of phrases. Raises FileNotFoundError if one is missing."""
    sections: dict[str, list[str]] = {}
    for name in names:
        path = files(__package__) / "phrases" / f"{name}.txt"
        current: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("[") and line.endswith("]") and SLOT.fullmatch(f"{{{line[1:-1]}}}"):
                current = sections.setdefault(line[1:-1], [])
            elif line and not line.startswith("# "):
                current.append(ESCAPED.sub(lambda found: chr(HIDDEN + ord(found[1])), line))
    return sections


class Grammar:
    """Phrases and a source of chance."""

    def __init__(self, sections: Sections, seed: int) -> None:
        """Takes the sections of all phrases."""
        self._sections = sections
        self._chance = random.Random(seed)  # noqa: S311 - nothing secret

    def text(self, section: str) -> str:
        """Returns a text of a section. Raises KeyError if a phrase names one that is not there."""
        text = self._fill(self._pick(section), 0).replace("\\n", "\n").strip()
        return SHOWN.sub(lambda found: chr(ord(found[0]) - HIDDEN), text)

    def texts(self, section: str, count: int) -> list[str]:
        """Returns texts of a section, each once: fewer than asked for if there are no more."""
        found: dict[str, None] = {}
        for _ in range(3 * count):
            found[self.text(section)] = None
            if len(found) == count:
                break
        return list(found)

    def _pick(self, section: str) -> str:
        return self._chance.choice(self._sections[section])

    def _fill(self, phrase: str, depth: int) -> str:
        if depth > DEEPEST:
            return ""
        while CHOICE.search(phrase):
            phrase = CHOICE.sub(lambda found: self._chance.choice(found[1].split("|")), phrase)
        return SLOT.sub(lambda found: self._fill(self._pick(found[1]), depth + 1), phrase)
