"""Why an alert is not told of now: silenced, inhibited, or outside the hours of its route."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bartizan.alerts.grouping import Way
from bartizan.alerts.mute_windows import MuteWindow
from bartizan.alerts.silences import Inhibition, Silence
from bartizan.alerts.values import Alert


class Why(StrEnum):
    """Why nobody is told of an alert at a moment."""

    WAITING = "WAITING_FOR_GROUP"
    """The group waits for more alerts, or for its interval."""
    TOLD = "ALREADY_TOLD"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """It was told of, and its repetition is spared as somebody took it up."""
    SILENCED = "SILENCED"
    INHIBITED = "INHIBITED"
    MUTED = "MUTE_WINDOW"
    INACTIVE = "OUTSIDE_ACTIVE_WINDOW"
    NO_CHANNEL = "NO_CHANNEL"
    ENDED_EARLY = "RESOLVED_BEFORE_TOLD"


@dataclass(frozen=True, slots=True)
class Held:
    """An alert that nobody is told of now.

    Attributes:
        by: the id of the silence, the inhibition or the window; the alert that inhibits after it.
    """

    fingerprint: str
    why: Why
    by: str = ""


class Quieting:
    """The silences, the inhibitions and the windows of a project, at one moment."""

    def __init__(
        self,
        silences: Iterable[Silence] = (),
        inhibitions: Sequence[Inhibition] = (),
        windows: Iterable[MuteWindow] = (),
        alerts: Iterable[Alert] = (),
    ) -> None:
        """Makes it. `alerts` are all of the project: those that are active inhibit others."""
        self._silences = tuple(silences)
        self._inhibitions = inhibitions
        self._windows = {window.id: window for window in windows}
        self._sources = _sources(inhibitions, alerts) if inhibitions else {}

    def held(self, alert: Alert, now: datetime) -> Held | None:
        """Returns why an alert is quiet, whatever its route; None if it is not."""
        for silence in self._silences:
            if silence.silences(alert.labels, now):
                return Held(alert.fingerprint, Why.SILENCED, silence.id)
        for inhibition in self._inhibitions:
            if inhibition.is_target(alert.labels):
                source = self._source(inhibition, alert)
                if source is not None:
                    by = f"{inhibition.id}/{source}"
                    return Held(alert.fingerprint, Why.INHIBITED, by)
        return None

    def closed(self, way: Way, now: datetime) -> tuple[Why, str] | None:
        """Returns why a route is quiet now, and by which window; None if it is not."""
        for name in way.mute_windows:
            if name in self._windows and self._windows[name].holds(now):
                return Why.MUTED, name
        named = [name for name in way.active_windows if name in self._windows]
        if named and not any(self._windows[name].holds(now) for name in named):
            return Why.INACTIVE, named[0]
        return None

    def _source(self, inhibition: Inhibition, alert: Alert) -> str | None:
        key = (inhibition.id, inhibition.shared(alert.labels))
        kinds = self._sources.get(key, {})
        if inhibition.is_source(alert.labels):
            # Alerts that are both would make each other quiet, and nobody would be told.
            return kinds.get(False)
        return kinds.get(False) or kinds.get(True)


Sources = Mapping[tuple[str, tuple[str, ...]], Mapping[bool, str]]
"""By inhibition and shared labels, one alert that makes quiet and cannot be, and one that can."""


def _sources(inhibitions: Sequence[Inhibition], alerts: Iterable[Alert]) -> Sources:
    found: dict[tuple[str, tuple[str, ...]], dict[bool, str]] = {}
    for alert in alerts:
        if not alert.active:
            continue
        for inhibition in inhibitions:
            if inhibition.is_source(alert.labels):
                kinds = found.setdefault((inhibition.id, inhibition.shared(alert.labels)), {})
                kinds.setdefault(inhibition.is_target(alert.labels), alert.fingerprint)
    return found
