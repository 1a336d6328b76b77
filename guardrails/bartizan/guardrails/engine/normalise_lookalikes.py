"""Turns letters that only look like Latin ones into Latin, where they pass for these.

They do in a word that has Latin letters too, and in a text that has no letter of their script
that could not be mistaken. Genuine Russian or Greek has such letters in nearly every word.
"""

# ruff: noqa: RUF001 - letters that are mistaken for others are what this is about.

import re
from collections.abc import Iterator

from bartizan.guardrails.engine.normalise_english import SHORT_WORDS, is_plausible
from bartizan.guardrails.engine.normalise_view import Edit, View


def _pairs(foreign: str, latin: str) -> dict[str, str]:
    return dict(zip(foreign, latin, strict=True))


EXACT = (
    _pairs("асеорхуѕіјһԁԛԝӏѵүґΐ", "aceopxysijhdqwlvyri")
    | _pairs("АВЕКМНОРСТУХЅІЈԌԚԜҮӀЁ", "ABEKMHOPCTYXSIJGQWYIE")
    | _pairs("οανικρυτγωχεσηβϲϳ", "oavikputywxeonbcj")
    | _pairs("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺ", "ABEZHIKMNOPTYXCM")
    | _pairs("օոսհցզյքլаս", "onuhgqjflau")
    | _pairs("ՕՏՍԼ", "OSUL")
    | _pairs("ᎠᎡᎢᎥᎪᎫᎬᎳᎷᎻᎽᏀᏃᏏᏒᏔᏕᏙᏚᏞᏟᏢᏦᏴ", "DRTiAJEWMHYGZbRWSVSLCPKB")
    | _pairs("ꓐꓑꓒꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ", "BPdDTGKJCZFMNLSRVHWXYAEIOU")
    | _pairs("ⲟⲣⲥⲭ", "opcx")
    | _pairs("ɑɡɩıȷʋɪʏ", "agiijviy")
)
"""Letters, and the Latin ones that they are taken for in most typefaces."""

ROUGH = _pairs("вкмнтгпияьёїєшзѡʀɴʟʙɢʜ", "bkmhtrnurbeiewewrnlbgh")
"""Letters that are like Latin ones enough to be read so inside of a Latin word."""

_TO_LATIN = str.maketrans(ROUGH | EXACT)

_LOOKALIKES = "".join(EXACT | ROUGH)

FOREIGN = f"[{_LOOKALIKES}]"
"""A class: one of the letters that may have to be turned."""

_FOREIGN = re.compile(FOREIGN)
_MIXED = re.compile(f"[A-Za-z][{_LOOKALIKES}]|[{_LOOKALIKES}][A-Za-z]")
_UNMISTAKABLE = re.compile(f"(?![{''.join(EXACT)}])[\u0370-\u058f\u13a0-\u13f5\u2c80-\u2cff]")
_WORD = re.compile(r"[^\W\d_]+")
_PASSING = re.compile(f"[A-Za-z{_LOOKALIKES}]+")
_EXACT = re.compile(f"[{''.join(EXACT)}]+")
_TURKIC = re.compile("[çşğöüÇŞĞÖÜİəƏ]")
_CYRILLIC_WORDS = "аіАІ"


def latinised(view: View) -> View:
    """Returns a view with the lookalikes that pass for Latin letters as these."""
    text = view.text
    if "ı" in text and _TURKIC.search(text):
        return view
    genuine = _UNMISTAKABLE.search(text) is not None
    mixed = _MIXED.search(text) is not None
    if not mixed and (genuine or not _FOREIGN.search(text)):
        return view
    return view.edited(_edits(text, genuine, mixed))


def _edits(text: str, genuine: bool, mixed: bool) -> Iterator[Edit]:
    for match in _WORD.finditer(text):
        word = match.group()
        if word.isascii() or not _PASSING.fullmatch(word):
            continue
        latin = word.translate(_TO_LATIN)
        if _MIXED.search(word) or (not genuine and _reads(word, latin, mixed)):
            yield *match.span(), latin


def _reads(word: str, latin: str, mixed: bool) -> bool:
    """Returns True if a word all of foreign letters is meant to be read as a Latin one."""
    if not _EXACT.fullmatch(word):
        return False
    if len(word) == 1:
        # By itself a Greek letter is rather the name of something.
        return word in _CYRILLIC_WORDS or (mixed and latin in "aiAI")
    return latin.lower() in SHORT_WORDS or (len(word) > 2 and is_plausible(latin))
