"""Takes found text out of a value."""

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import quote as percent_encoded

from bartizan.plugins.errors import BartizanError
from bartizan.plugins.rules import Redaction
from bartizan.plugins.structure import Piece, pieces
from bartizan.plugins.unescaped import Unescaped, has_escapes

WITHHELD = "[WITHHELD]"
"""Stands for a whole text that could not be judged in time and must not be stored unjudged."""

HASH_DIGITS = 16
"""64 bits: among a billion different values of one kind a chance collision is unlikely (3 %)."""

STRENGTH = {
    Redaction.PSEUDONYM: 0,
    Redaction.HASH: 1,
    Redaction.MASK: 2,
    Redaction.DROP: 3,
}
"""Where spans overlap, what says least wins."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text that has to go. Offsets in code points."""

    start: int
    end: int
    category: str
    score: float
    redaction: Redaction


class Vault(Protocol):
    """Makes tokens that can be turned back; see `bartizan.plugins.pseudonyms`."""

    def token(self, found: str, category: str) -> str:
        """Returns what stands for a found text; raises BartizanError for one of no fit size."""
        ...


def redact(value: str, spans: Iterable[Span], key: bytes, vault: Vault | None = None) -> str:
    """Returns `value` without the text of any span; JSON stays JSON, a URL a URL.

    Overlapping spans go as one, under the category of the one with the highest score, then the
    longest. `key` keys the hashes, `vault` makes pseudonyms; what it cannot take is masked.
    """
    parts: list[str] = []
    at = 0
    for span, quote, in_authority in _fitted(value, list(_merged(spans))):
        mask = _replacement(value[span.start : span.end], span, key, vault)
        if in_authority:
            mask = percent_encoded(mask, safe="")
        parts += value[at : span.start], quote, mask, quote
        at = span.end
    parts.append(value[at:])
    return "".join(parts)


def joinable_hash(found: str, category: str, key: bytes) -> str:
    """Returns a keyed hash that is the same for the same thing written differently."""
    message = f"{category}\0{_normalised(found)}".encode("utf-8", "surrogatepass")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _normalised(found: str) -> str:
    folded = unicodedata.normalize("NFKC", found).casefold()
    if any(char.isalpha() for char in folded):
        return "".join(folded.split())
    return "".join(char for char in folded if char.isdigit() or char == "+") or folded


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    merged: Span | None = None
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start == span.end:
            continue
        if merged is not None and span.start < merged.end:
            merged = _union(merged, span)
            continue
        if merged is not None:
            yield merged
        merged = span
    if merged is not None:
        yield merged


def _fitted(value: str, spans: Sequence[Span]) -> Iterator[tuple[Span, str, bool]]:
    """Gives the spans as they fit the structure of the value, and how to write in each place."""
    found = pieces(value, [(span.start, span.end) for span in spans])
    written = {one.start: (one.quote, one.in_authority) for one in found}
    fitted = [_moved(spans[one.owner], one) for one in found]
    for span in fitted if fitted == spans else _merged(fitted):
        yield span, *written[span.start]


def _moved(span: Span, piece: Piece) -> Span:
    if (span.start, span.end) == (piece.start, piece.end):
        return span
    return replace(span, start=piece.start, end=piece.end)


def _union(one: Span, other: Span) -> Span:
    winner = max(one, other, key=lambda span: (span.score, span.end - span.start))
    strongest = max(one.redaction, other.redaction, key=STRENGTH.__getitem__)
    end = max(one.end, other.end)
    return Span(one.start, end, winner.category, winner.score, strongest)


def _replacement(found: str, span: Span, key: bytes, vault: Vault | None) -> str:
    if span.redaction is Redaction.DROP:
        return ""
    label = span.category.rpartition(".")[2].upper()
    if span.redaction in (Redaction.HASH, Redaction.PSEUDONYM):
        read = Unescaped(found).text if has_escapes(found) else found
        if span.redaction is Redaction.HASH:
            return f"[{label}:{joinable_hash(read, span.category, key)}]"
        with suppress(BartizanError):
            return vault.token(read, span.category) if vault is not None else f"[{label}]"
    return f"[{label}]"
