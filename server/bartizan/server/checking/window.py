"""The part of a streamed text that is held back, and what of it may go.

The window is judged again whenever enough new text is in it. It holds, from left to right: text
that has gone and is kept as the surroundings of what follows, text that is held, and its end, whose
findings may still grow or vanish. Offsets are code points of the whole text unless said otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Ruled
from bartizan.plugins.redact import Span
from bartizan.plugins.said import WITHHELD_CATEGORY

MAX_HELD = 16_384
"""Code points. A private key of 16,384 bits is a block of some 12,700; what stays uncertain for
longer is taken as it stands."""

GROWTH = 4
"""The window is judged again when a quarter of it is new: all text is judged so many times at most,
and once more as surroundings, however much is held."""

SURROUNDINGS = 4
"""Text that has gone is kept for so many times what is held back, at most. A rule that finds
something in all of a text must not make every window as long as that."""

_RUN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/=.:@%~&?#$*!-"
"""What keys and addresses are made of: a run of it that goes on is not let go in two parts."""

_BLOCK_BEGINS, _BLOCK_ENDS = "-----BEGIN ", "-----END "


@dataclass(frozen=True, slots=True)
class Part:
    """What may go after a judgement.

    Attributes:
        text: as it came in, not yet redacted.
        spans: what is to be redacted, with offsets in `text`.
        said: what has become certain, with offsets in the whole text.
        denied: True when nothing may follow.
    """

    text: str
    spans: Sequence[Span]
    said: Sequence[Ruled]
    denied: bool


class Window:
    """Holds text back until it is certain what is in it. Knows offsets and findings, not rules."""

    def __init__(self, hold_back: int) -> None:
        """Makes an empty one that holds back at least so many code points."""
        self._hold_back = hold_back
        self._kept = ""
        self._start = 0
        self._gone = 0
        self._told = -1
        self._new: list[str] = []
        self._new_length = 0

    @property
    def end(self) -> int:
        """How much has come in."""
        return self._start + len(self._kept) + self._new_length

    def add(self, text: str) -> None:
        """Takes in what comes next."""
        self._new.append(text)
        self._new_length += len(text)

    @property
    def is_due(self) -> bool:
        """True when so much is new that judging is worth it."""
        size = len(self._kept) + self._new_length
        return self._new_length >= max(self._hold_back // 2, size // GROWTH)

    def text(self) -> str:
        """Returns what is to be judged now, the surroundings included."""
        self._kept = "".join((self._kept, *self._new))
        self._new = []
        self._new_length = 0
        return self._kept

    def settle(self, ruled: Iterable[Ruled], spans: Iterable[Span], *, last: bool) -> Part:
        """Returns what may go, given what was said of `text()`; `last` when nothing follows it."""
        said = [self._moved(one) for one in ruled]
        withheld = [one for one in said if _withholds(one)]
        if withheld:
            return Part("", (), withheld, denied=True)
        acting = [one for one in said if not one.shadow and one.action is not Action.FLAG]
        edge, is_certain = self._edge(acting, last)
        certain = [one for one in said if self._told < one.finding.end <= edge]
        denying = [one for one in certain if one.verdict is Verdict.DENY and not one.shadow]
        if denying:
            edge = self._before(min(one.finding.start for one in denying), acting)
        part = self._part(edge, spans, certain, denied=bool(denying))
        self._forget(edge, said, acting, is_certain)
        return part

    def _moved(self, ruled: Ruled) -> Ruled:
        """Returns a finding of the window's text with its offsets in the whole text."""
        found = ruled.finding
        start, end = found.start + self._start, found.end + self._start
        if _withholds(ruled):
            start = max(start, self._gone)
        return replace(ruled, finding=replace(found, start=start, end=end))

    def _edge(self, acting: Sequence[Ruled], last: bool) -> tuple[int, bool]:
        """Returns up to where text may go, and False if that is for lack of room."""
        end = self.end
        if last:
            return end, True
        at = max(self._gone, end - self._hold_back)
        edge = self._before(self._before_suspicion(at), acting)
        if end - edge <= MAX_HELD:
            return edge, True
        crossing = (one.finding.end for one in acting if one.finding.start < at)
        return max(at, *crossing, 0), False

    def _before(self, edge: int, acting: Sequence[Ruled]) -> int:
        return max(self._gone, _outside(edge, acting))

    def _before_suspicion(self, edge: int) -> int:
        """Returns the last offset up to `edge` that is in no token and no block that goes on.

        One whose beginning has gone already, as it is too long to hold, is held no more.
        """
        begins = [self._token_start(edge)]
        block = self._kept.rfind(_BLOCK_BEGINS)
        if block >= 0 and self._kept.find(_BLOCK_ENDS, block) < 0:
            begins.append(self._start + block)
        return min([edge, *(one for one in begins if one >= self._gone)])

    def _token_start(self, edge: int) -> int:
        at = edge - self._start
        if self._kept[at : at + 1] not in _RUN:
            return edge
        return self._start + len(self._kept[:at].rstrip(_RUN))

    def _part(
        self, edge: int, spans: Iterable[Span], said: Sequence[Ruled], *, denied: bool
    ) -> Part:
        text = self._kept[self._gone - self._start : edge - self._start]
        shift = self._gone - self._start
        cut = [
            replace(one, start=max(0, one.start - shift), end=min(len(text), one.end - shift))
            for one in spans
            if one.end > shift and one.start < edge - self._start
        ]
        return Part(text, cut, said, denied)

    def _forget(
        self, edge: int, said: Sequence[Ruled], acting: Sequence[Ruled], is_certain: bool
    ) -> None:
        """Lets go of what surrounds nothing that is still held."""
        self._gone = self._told = edge
        # Half of something could be read as something else.
        start = self._token_start(max(self._start, _outside(edge - self._hold_back, said)))
        start = max(start, edge - SURROUNDINGS * self._hold_back)
        # What was let go as it stood may go on, and is known by its beginning alone.
        reach = edge if is_certain else edge - 1
        found = (one.finding for one in acting)
        open_at = (one.start for one in found if one.start < edge and reach < one.end)
        start = max(self._start, edge - MAX_HELD, min(start, edge, *open_at))
        self._kept = self._kept[start - self._start :]
        self._start = start


def _outside(at: int, said: Iterable[Ruled]) -> int:
    """Returns the last offset up to `at` that is inside no finding."""
    for found in sorted((one.finding for one in said), key=lambda one: one.end, reverse=True):
        if found.start < at < found.end:
            at = found.start
    return at


def _withholds(ruled: Ruled) -> bool:
    """Returns True for a text that must not go on as nobody could judge it."""
    return ruled.finding.category == WITHHELD_CATEGORY and not ruled.shadow
