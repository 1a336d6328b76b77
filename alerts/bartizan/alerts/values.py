"""What the parts of this room tell each other. Times are aware, in UTC."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

Labels = Mapping[str, str]
"""What an alert is known by: rule, project, environment, severity and the keys of its group."""

FINGERPRINT_DIGITS = 16


class Level(StrEnum):
    """How bad a value is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for ok, 1 for warning, 2 for critical."""
        return _LEVELS.index(self)


_LEVELS = tuple(Level)


class State(StrEnum):
    """Where an alert is on its way."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    ERROR = "error"


def fingerprint(labels: Labels) -> str:
    """Returns 16 hex digits that equal labels share, in whatever order they are."""
    digest = hashlib.sha256()
    for name, value in sorted(labels.items()):
        # Lengths keep what one label says apart from what the next one does.
        for part in (name.encode(), value.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


@dataclass(frozen=True, slots=True)
class Alert:
    """One group of one rule, as it stands now.

    Attributes:
        annotations: text over ids, numbers and reason codes; no part of the identity.
        level: how bad it is; ok if it is not firing, and did not before it went without data.
        since: when it came into its state.
        starts_at: when the trouble was first seen.
        ends_at: when it was over; None while it is not.
        acknowledged_by: who took it up; empty if nobody did.
        flapping: it has come and gone too often of late.
    """

    fingerprint: str
    rule: str
    labels: Labels
    annotations: Mapping[str, str]
    state: State
    level: Level
    value: float | None
    threshold: float | None
    since: datetime
    starts_at: datetime
    ends_at: datetime | None = None
    acknowledged_by: str = ""
    flapping: bool = False

    @property
    def active(self) -> bool:
        """True while it is not over: firing, or it was when its data or its evaluation went."""
        if self.state is State.FIRING:
            return True
        return self.state in (State.NO_DATA, State.ERROR) and self.level is not Level.OK

    def to_json(self) -> dict[str, Any]:
        """Returns the alert as a JSON document."""
        return {
            "fingerprint": self.fingerprint,
            "rule": self.rule,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "state": str(self.state),
            "level": str(self.level),
            "value": self.value,
            "threshold": self.threshold,
            "since": self.since.isoformat(),
            "starts_at": self.starts_at.isoformat(),
            "ends_at": None if self.ends_at is None else self.ends_at.isoformat(),
            "acknowledged_by": self.acknowledged_by,
            "flapping": self.flapping,
        }
