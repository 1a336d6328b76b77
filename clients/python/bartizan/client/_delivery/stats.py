"""What became of what was recorded, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Stats:
    """What became of what was recorded. Counts spans; a feedback counts as one.

    At any time recorded = stored + duplicate + rejected + quarantined + dropped + queued.

    Attributes:
        recorded: taken over from this program, or from the spool of one that has ended.
        queued: not settled yet, in memory, on disk and on the way.
        stored: committed by the server.
        duplicate: committed by the server before; nothing is lost or doubled.
        rejected: refused by the server, each by itself.
        quarantined: set aside by the server.
        dropped: given up here, by reason: queue_full, spool_full, spool_corrupt, encode,
            too_large, refused, unsent, closed, error.
        reconnects: how often a connection took the place of an earlier one.
        spooled: those of the queued that are on disk.
        last_error: one sentence; empty when nothing went wrong yet.
    """

    recorded: int = 0
    queued: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    quarantined: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    spooled: int = 0
    last_error: str = ""


class Outcome(NamedTuple):
    """What the server made of one batch, in spans; the rest of them are stored.

    Attributes:
        why: of the first that was rejected: field and limit, never content.
    """

    duplicate: int = 0
    rejected: int = 0
    quarantined: int = 0
    why: str = ""


class Counters:
    """The numbers behind `Stats`; change and read them with the delivery's lock held."""

    def __init__(self) -> None:
        self.recorded = 0
        self.stored = 0
        self.duplicate = 0
        self.rejected = 0
        self.quarantined = 0
        self.dropped: dict[str, int] = {}
        self.reconnects = 0
        self.last_error = ""

    def drop(self, reason: str, spans: int) -> None:
        """Counts what was given up."""
        if spans:
            self.dropped[reason] = self.dropped.get(reason, 0) + spans

    def settle(self, spans: int, outcome: Outcome) -> None:
        """Counts a batch that the server has answered."""
        unstored = outcome.duplicate + outcome.rejected + outcome.quarantined
        self.stored += max(0, spans - unstored)
        self.duplicate += outcome.duplicate
        self.rejected += outcome.rejected
        self.quarantined += outcome.quarantined

    def stats(self, queued: int, spooled: int) -> Stats:
        """Returns a snapshot."""
        return Stats(
            recorded=self.recorded,
            queued=queued,
            stored=self.stored,
            duplicate=self.duplicate,
            rejected=self.rejected,
            quarantined=self.quarantined,
            dropped=dict(self.dropped),
            reconnects=self.reconnects,
            spooled=spooled,
            last_error=self.last_error,
        )
