"""What is known of one alert between two looks: a small document."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from bartizan.alerts.values import Level, State


class Snapshot(NamedTuple):
    """How one alert stands.

    Attributes:
        state: where it is on its way.
        level: of the alert that is open; ok if none is.
        last_level: of the alert that is open, or was last.
        seen: the level of the last look that had one.
        at: when the last look was.
        since: when it came into its state.
        pending_at: when the trouble that lasts was first seen.
        starts_at: when the trouble of the last alert was first seen.
        fired_at: when the last alert fired.
        ends_at: when it was over.
        warning_s: for how long, in seconds, the trouble has been seen to last.
        critical_s: for how long it has been seen to be critical.
        calm_s: for how long it has been seen to be over.
        blind_s: for how long there has been too little data to say anything.
        acknowledged_by: who took it up; empty if nobody did.
        fires: when it fired of late: so many are flapping.
    """

    state: State = State.INACTIVE
    level: Level = Level.OK
    last_level: Level = Level.OK
    seen: Level = Level.OK
    at: datetime | None = None
    since: datetime | None = None
    pending_at: datetime | None = None
    starts_at: datetime | None = None
    fired_at: datetime | None = None
    ends_at: datetime | None = None
    warning_s: float = 0.0
    critical_s: float = 0.0
    calm_s: float = 0.0
    blind_s: float = 0.0
    value: float | None = None
    threshold: float | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    fires: tuple[datetime, ...] = ()
    flapping: bool = False

    @property
    def is_open(self) -> bool:
        """True from when the alert fires until it is resolved, with data or without."""
        return self.level is not Level.OK

    def to_json(self) -> dict[str, Any]:
        """Returns the snapshot as a JSON document, without what has its default."""
        return {
            name: _written(value)
            for name, value in self._asdict().items()
            if value != self._field_defaults[name]
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Snapshot":
        """Returns the snapshot that `to_json` wrote. Keys of other versions are ignored."""
        values = {name: document[name] for name in _READ.keys() & document.keys()}
        return cls(**{name: _READ[name](value) for name, value in values.items()})


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return [time.isoformat() for time in value] if isinstance(value, tuple) else value


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _times(texts: list[str]) -> tuple[datetime, ...]:
    return tuple(map(datetime.fromisoformat, texts))


def _as_is(value: Any) -> Any:
    return value


_TIMES = ("at", "since", "pending_at", "starts_at", "fired_at", "ends_at", "acknowledged_at")
_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(Snapshot._fields, _as_is),
    **dict.fromkeys(_TIMES, _time),
    "state": State,
    "level": Level,
    "last_level": Level,
    "seen": Level,
    "fires": _times,
}
