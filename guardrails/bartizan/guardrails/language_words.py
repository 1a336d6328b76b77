"""What languages are told by: their small words, the ends of words, letters, and scripts."""

from collections.abc import Mapping
from importlib.resources import files


def _tables() -> dict[str, dict[str, tuple[str, ...]]]:
    tables: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in files(__package__).joinpath("language_words.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, language, *signs = line.split(" ")
            tables.setdefault(kind, {})[language] = tuple(signs)
    return tables


_TABLES = _tables()

WORDS: Mapping[str, tuple[str, ...]] = _TABLES["words"]
"""The most frequent small words of languages that share a script, most of them Latin."""

ENDINGS: Mapping[str, tuple[str, ...]] = _TABLES["endings"]
"""Ends of words, of three to five letters."""

LETTERS: Mapping[str, tuple[str, ...]] = _TABLES["letters"]
"""Letters that neighbours in the same script do without."""

LATIN, CYRILLIC, ARABIC, DEVANAGARI = "latin", "cyrillic", "arabic", "devanagari"

SCRIPTS = {
    LATIN: "A-Za-z\u00aa\u00ba\u00c0-\u024f\u0250-\u02af\u1e00-\u1eff",
    CYRILLIC: "\u0400-\u052f\u1c80-\u1c8f",
    ARABIC: "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    DEVANAGARI: "\u0900-\u097f",
    "el": "\u0370-\u03ff\u1f00-\u1fff", "he": "\u0590-\u05ff", "hy": "\u0530-\u058f",
    "ka": "\u10a0-\u10ff\u1c90-\u1cbf", "th": "\u0e00-\u0e7f", "lo": "\u0e80-\u0eff",
    "my": "\u1000-\u109f", "km": "\u1780-\u17ff", "bn": "\u0980-\u09ff", "pa": "\u0a00-\u0a7f",
    "gu": "\u0a80-\u0aff", "or": "\u0b00-\u0b7f", "ta": "\u0b80-\u0bff", "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff", "ml": "\u0d00-\u0d7f", "si": "\u0d80-\u0dff", "am": "\u1200-\u139f",
    "bo": "\u0f00-\u0fff", "mn": "\u1800-\u18af", "chr": "\u13a0-\u13ff",
    "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "ja": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "zh": "\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}  # fmt: skip
"""The letters of each script, as the inside of a class. A script that one language writes, as
good as alone, has the name of the language."""

SHARED = {
    LATIN: tuple(WORDS)[: tuple(WORDS).index("ru")],
    CYRILLIC: ("ru", "uk", "be", "bg", "sr", "mk"),
    ARABIC: ("ar", "fa", "ur"),
    DEVANAGARI: ("hi", "mr", "ne"),
}
"""The languages of the scripts that are shared."""

LANGUAGES = frozenset(WORDS) | (frozenset(SCRIPTS) - frozenset(SHARED))
