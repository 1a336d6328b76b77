"""Puts words together again that are spelt with digits, with gaps, or with a letter too often."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from bartizan.guardrails.engine.normalise_english import (
    COMMON_WORDS,
    SHORT_WORDS,
    fluency,
    is_common,
    is_plausible,
)
from bartizan.guardrails.engine.normalise_view import Edit, View

LEET = {
    "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s",
    "!": "i", "|": "i", "+": "t",
}  # fmt: skip

MOST_UNSURE = 4
"""Of the signs in a word that stand for I or L, so many are tried each for itself."""

LONGEST = max(map(len, COMMON_WORDS))

ENOUGH_KNOWN = 0.6
"""The least share of the letters of a spaced text that has to be in words."""

LEAST_SPACED = 4
"""Letters: three with dots between are an abbreviation."""

LEAST_TELLING = 3
"""Letters and digits: shorter ones are a word only where longer ones are."""

OFTEN_DOUBLE = "bfglpsz"
"""Of such a letter two are left, in words that are not known."""

LEAST_SHOUTED = 4
"""Letters of a word in capitals: shorter ones are initials."""

ENOUGH_FOREIGN = 16
"""Letters that tell whether they are of a language that has no words here."""

FOREIGN_FLUENCY = 3.4
"""The least fluency of such a language. Letters at random have about 2.5."""

UNKNOWN_COST = 3
"""Of a letter outside of all words, where a known word costs 1."""

_WORDS = COMMON_WORDS | SHORT_WORDS
_ENDINGS = frozenset(word[at:] for word in _WORDS for at in range(len(word)))
_LEET = str.maketrans(LEET)
_SAME = str.maketrans("l", "i")
_BY_SAME = {word.translate(_SAME): word for word in sorted(COMMON_WORDS)}

_TOKEN = re.compile(
    r"(?<![^\W_])(?<![@$!|+/\\=#%&.:{-])(?=[A-Za-z]{0,23}[0134578@$!|+])"
    r"[A-Za-z0-9@$!|+]{2,24}(?![^\W_]|[@$|+/\\=#%&]|[.:-]\w)"
)
_HAS_LEET = re.compile(r"[0134578@$!|+]")
_QUANTITY = re.compile(r"[0-9]{2,}[A-Za-z]{1,3}|[A-Z][0-9]{2,}")
_INSIDE = re.compile(r"[A-Za-z][0134578@$]{1,2}[A-Za-z]|\A[A-Za-z]{1,2}![A-Za-z]{1,3}\Z")
_HEX = re.compile(r"[0-9a-fA-F]+")
_LETTERS = re.compile(r"[A-Za-z]")
_LIKE_L = re.compile(r"[1!|]")

_SPACED = re.compile(
    r"(?<![^\W_])[A-Za-z0-9@$!](?:(?:(?![@$!])[\W_]){1,3}[A-Za-z0-9@$!](?![^\W_])){3,}"
)
_BLANKS = " \t\r\n"
_GAP = re.compile(r"(?:(?![@$!])[\W_])+")
_PIECES = re.compile(
    r"(?<![^\W_])(?<![./@-])[A-Za-z]{1,5}(?:([._*~^-])[A-Za-z]{1,5})"
    r"(?:\1[A-Za-z]{1,5}){1,9}(?![^\W_])"
)

_WORD = re.compile(r"(?<![^\W_])(?<![+/])[A-Za-z]{4,}(?![^\W_]|[+/=])")
_RUN = re.compile(r"([A-Za-z])\1{2,}")
_GROUP = re.compile(r"([A-Za-z])\1*")
_NO_WORD = re.compile(r"[IVXLCDM]+|[A-Fa-f]+|([A-Za-z])\1+")
_BY_SINGLE = {_GROUP.sub(r"\1", word): word for word in sorted(_WORDS)}


def joined(view: View) -> View:
    """Returns a view with the words together whose letters stood apart."""
    apart = view.edited(_unspaced(view.text))
    return apart.edited(_unpieced(apart.text))


def spelt(view: View) -> View:
    """Returns a view with letters instead of the digits and signs that stood for them."""
    return view.edited(_unleeted(view.text))


def shortened(view: View) -> View:
    """Returns a view without the letters that were drawn out."""
    return view.edited(_undrawn(view.text))


def _unleeted(text: str) -> list[Edit]:
    found: list[Edit] = []
    short: list[Edit] = []
    for match in _TOKEN.finditer(text):
        token = match.group().rstrip("!|+")
        word = unleet(token)
        if word is not None:
            edits = found if len(token) >= LEAST_TELLING else short
            edits.append((match.start(), match.start() + len(token), word))
    return sorted(found + short) if found else []


def unleet(token: str) -> str | None:
    """Returns the word that is meant by letters and digits; None if it is an id or the like."""
    if not _HAS_LEET.search(token) or not _LETTERS.search(token):
        return None
    letters = token.translate(_LEET)
    if len(token) < LEAST_TELLING:
        return _in_case_of(token, letters) if letters.lower() in SHORT_WORDS else None
    if not letters.isalpha() or _QUANTITY.fullmatch(token) or _is_numbered(token):
        return None
    known = _BY_SAME.get(letters.lower().translate(_SAME))
    if known is not None:
        return _in_case_of(token, known)
    signs = len(token) - len(_LETTERS.findall(token))
    if 2 * signs > len(token) or _HEX.fullmatch(token) or not _INSIDE.search(token):
        return None
    return max(filter(_is_word, _readings(token)), key=fluency, default=None)


def _is_numbered(token: str) -> bool:
    return token.rstrip("0123456789").lower() in COMMON_WORDS


def _readings(token: str) -> Iterator[str]:
    """Returns what a token may spell: 1, ! and | are I or L."""
    unsure = len(_LIKE_L.findall(token))
    each: Iterable[Iterable[str]]
    each = product("il", repeat=unsure) if unsure <= MOST_UNSURE else ("i" * unsure, "l" * unsure)
    for letters in each:
        left = iter(letters)
        yield "".join(next(left) if _LIKE_L.match(char) else char for char in token).translate(
            _LEET
        )


def _is_word(letters: str) -> bool:
    # Letters of both cases at random are an id.
    is_even = letters.islower() or letters.isupper() or letters[1:].islower()
    return is_even and is_plausible(letters)


def _in_case_of(token: str, word: str) -> str:
    if token.isupper():
        return word.upper()
    pairs = zip(token, word, strict=True)
    return "".join(letter.upper() if char.isupper() else letter for char, letter in pairs)


def _unspaced(text: str) -> Iterator[Edit]:
    for match in _SPACED.finditer(text):
        start, end = match.span()
        gaps = [gap.span() for gap in _GAP.finditer(text, start, end)]
        letters = _GAP.sub("", match.group())
        if 2 * len(_LETTERS.findall(letters)) < len(letters):
            continue
        words = _words(letters, [text[low:high] for low, high in gaps])
        is_text = _reads_well(words)
        at = 0
        for word in words:
            end = at + len(word)
            inside, after = gaps[at : end - 1], gaps[end - 1 : end]
            at = end
            if is_text or (len(word) >= LEAST_SPACED and _is_spelt_word(word)):
                yield from ((low, high, "") for low, high in inside)
                yield from ((low, high, " ") for low, high in after if text[low] not in _BLANKS)


def _words(letters: str, gaps: list[str]) -> list[str]:
    """Returns what letters with gaps between spell: words have another gap between, or none."""
    usual, count = Counter(gaps).most_common(1)[0]
    if count == len(gaps):
        return _divided(letters)
    words = letters[0]
    for char, gap in zip(letters[1:], gaps, strict=True):
        words += char if gap == usual else f" {char}"
    return words.split(" ")


def _reads_well(words: list[str]) -> bool:
    """Returns True if words are mostly English ones, or many that could be of a language."""
    read = [unleet(word) or word for word in words]
    total = sum(len(_LETTERS.findall(word)) for word in read)
    known = [word for word in read if word.lower() in SHORT_WORDS or _is_spelt_word(word)]
    has_known = any(len(word) > 2 for word in known)
    if has_known and sum(map(len, known)) >= ENOUGH_KNOWN * total:
        return True
    is_long = total >= ENOUGH_FOREIGN and total >= LEAST_SPACED * len(words)
    return is_long and fluency(" ".join(read)) >= FOREIGN_FLUENCY


def _is_spelt_word(word: str) -> bool:
    return len(word) > 2 and is_plausible(unleet(word) or word)


def _divided(letters: str) -> list[str]:
    """Returns letters without any gap cut into common words, and what is left over."""
    lowered = letters.translate(_LEET).lower()
    costs = [0] * (len(letters) + 1)
    lengths = [0] * (len(letters) + 1)
    for end in range(1, len(letters) + 1):
        costs[end], lengths[end] = costs[end - 1] + UNKNOWN_COST, 1
        for length in range(1, min(end, LONGEST) + 1):
            piece = lowered[end - length : end]
            if piece not in _ENDINGS:
                break
            cost = costs[end - length] + 1
            if cost < costs[end] and piece in _WORDS:
                costs[end], lengths[end] = cost, length
    words: list[str] = []
    end = len(letters)
    while end:
        words.append(letters[end - lengths[end] : end])
        end -= lengths[end]
    words.reverse()
    has_strays = any(len(word) == 1 and not is_common(word) for word in words)
    if has_strays and len(lowered) <= LONGEST and is_plausible(lowered):
        return [letters]
    return _with_strays(words)


def _with_strays(words: list[str]) -> list[str]:
    """Returns the words with the letters between them as words of their own."""
    together: list[str] = []
    stray = False
    for word in words:
        is_stray = len(word) == 1 and not is_common(word)
        if is_stray and stray:
            together[-1] += word
        else:
            together.append(word)
        stray = is_stray
    return together


def _unpieced(text: str) -> Iterator[Edit]:
    for match in _PIECES.finditer(text):
        pieces = match.group().split(match.group(1))
        word = "".join(pieces)
        if len(word) >= LEAST_SPACED and is_common(word) and not all(map(is_common, pieces)):
            yield match.start(), match.end(), word


def _undrawn(text: str) -> Iterator[Edit]:
    for match in _WORD.finditer(text):
        word = match.group()
        if not _RUN.search(word) or _NO_WORD.fullmatch(word):
            continue
        start, kept = match.start(), _kept(word)
        if kept is None:
            continue
        for run in _RUN.finditer(word):
            low, high = run.span()
            yield start + low + kept[low], start + high, ""


def _kept(word: str) -> dict[int, int] | None:
    """Returns how many letters stay where each run of a letter in a word begins.

    None if it is no word: IEEE, YYYYMMDD.
    """
    groups = list(_GROUP.finditer(word))
    known = _BY_SINGLE.get(_GROUP.sub(r"\1", word).lower())
    if known is not None:
        lengths = [len(group.group()) for group in _GROUP.finditer(known)]
    elif word[1:].islower() or _is_shouted(_RUN.sub(r"\1", word)):
        lengths = [2 if group.group(1).lower() in OFTEN_DOUBLE else 1 for group in groups]
    else:
        return None
    return {group.start(): most for group, most in zip(groups, lengths, strict=True)}


def _is_shouted(word: str) -> bool:
    return len(word) >= LEAST_SHOUTED and is_plausible(word)
