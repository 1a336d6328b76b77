"""What a rule would have done, as on-call thinks: pages, nights, flaps, what was caught."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bartizan.alerts.incidents import Incident
from bartizan.alerts.values import Level
from bartizan.plugins.notification import Reason, Severity

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One notification that would have told of something that fires.

    Attributes:
        value: of the alert that it is about, when it fired.
        started_at: when the trouble was first seen.
    """

    at: datetime
    group: Group
    reason: Reason
    severity: Severity
    value: float | None
    threshold: float | None
    started_at: datetime
    at_night: bool


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert, from where it fired to its end.

    Attributes:
        started_at: when the trouble was first seen.
        ended_at: None if it still fired at the end of the history.
        paged_at: when somebody was first told; None if nobody was.
    """

    group: Group
    level: Level
    started_at: datetime
    fired_at: datetime
    ended_at: datetime | None
    value: float | None
    threshold: float | None
    paged_at: datetime | None
    flapping: bool


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of one incident.

    Attributes:
        delay: from its start to the first page about it; None if there was none. Zero if somebody
            had been told before.
    """

    incident: Incident
    delay: timedelta | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a rule would have done.

    Attributes:
        looks: evaluations of one group each.
        cut: the most groups that were left out of one look.
        notifications: all that would have gone out, by reason.
        held: looks at which a firing alert was kept quiet, by cause.
        caught: what became of each incident; empty if none were given.
        false_alarms: alerts that somebody was told of, and that are about no incident.
    """

    start: datetime
    end: datetime
    looks: int
    groups: int
    cut: int
    pages: Sequence[Page]
    episodes: Sequence[Episode]
    notifications: Mapping[str, int]
    held: Mapping[str, int]
    caught: Sequence[Caught]
    false_alarms: Sequence[Episode]

    @property
    def at_night(self) -> int:
        """How many pages came at night."""
        return sum(page.at_night for page in self.pages)

    @property
    def flaps(self) -> int:
        """How many alerts were part of coming and going too often."""
        return sum(episode.flapping for episode in self.episodes)

    @property
    def longest(self) -> Episode | None:
        """The alert that fired for longest."""
        return max(
            self.episodes, key=lambda one: (one.ended_at or self.end) - one.fired_at, default=None
        )


def caught(incidents: Sequence[Incident], episodes: Sequence[Episode]) -> Sequence[Caught]:
    """Returns what became of each incident."""
    return [Caught(incident, _delay(incident, episodes)) for incident in incidents]


def false_alarms(incidents: Sequence[Incident], episodes: Sequence[Episode]) -> Sequence[Episode]:
    """Returns the alerts that somebody was told of, and that are about none of the incidents."""
    return [
        one
        for one in episodes
        if one.paged_at is not None and not any(_about(incident, one) for incident in incidents)
    ]


def _delay(incident: Incident, episodes: Sequence[Episode]) -> timedelta | None:
    paged = [one.paged_at for one in episodes if one.paged_at is not None and _about(incident, one)]
    return max(timedelta(), min(paged) - incident.start) if paged else None


def _about(incident: Incident, episode: Episode) -> bool:
    """Tells whether somebody was told of an alert before the incident was over."""
    told_in_time = episode.paged_at is not None and episode.paged_at <= incident.end
    return told_in_time and incident.overlaps(episode.started_at, episode.ended_at)
