"""What a group of alerts remembers between two looks: a small document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from bartizan.plugins.notification import Severity

SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
"""From the mildest to the worst."""


def rank(severity: Severity) -> int:
    """Returns how bad a severity is: 0 for info, 3 for critical."""
    return SEVERITIES.index(severity)


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that channels were told of as firing.

    Attributes:
        severity: the worst that they were told.
        at: when they were first told.
        acknowledged: they were told that somebody took it up.
    """

    severity: Severity
    at: datetime
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class GroupState:
    """How a group stands.

    Attributes:
        next_at: when the group looks next at what there is to tell; None while it has no alerts.
        told: by fingerprint, the alerts that the channels believe to be firing.
        notified_at: when something was last told.
        escalated: how many steps of the escalation were taken.
        channels: who was told of anything, and has to be told of the end.
        number: how many notifications the thread has. A thread ends when all is resolved.
        sequence: how many notifications the group ever had: no two have the same.
    """

    next_at: datetime | None = None
    told: Mapping[str, Told] = field(default_factory=dict)
    notified_at: datetime | None = None
    escalated: int = 0
    channels: tuple[str, ...] = ()
    number: int = 0
    sequence: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns the state as a JSON document."""
        return {
            "next_at": _written(self.next_at),
            "told": {key: _told_written(told) for key, told in self.told.items()},
            "notified_at": _written(self.notified_at),
            "escalated": self.escalated,
            "channels": list(self.channels),
            "number": self.number,
            "sequence": self.sequence,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Returns the state that `to_json` wrote."""
        return cls(
            _read(document.get("next_at")),
            {key: _told_read(told) for key, told in document.get("told", {}).items()},
            _read(document.get("notified_at")),
            int(document.get("escalated", 0)),
            tuple(document.get("channels", ())),
            int(document.get("number", 0)),
            int(document.get("sequence", 0)),
        )


def _written(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _told_written(told: Told) -> list[Any]:
    return [str(told.severity), told.at.isoformat(), told.acknowledged]


def _told_read(told: list[Any]) -> Told:
    severity, at, acknowledged = told
    return Told(Severity(severity), datetime.fromisoformat(at), bool(acknowledged))
