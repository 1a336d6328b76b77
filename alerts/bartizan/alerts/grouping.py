"""From an alert to the groups that it is told of in: the tree of routes."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from bartizan.alerts.matchers import Matcher, all_match
from bartizan.alerts.routes import (
    ALL_LABELS,
    DEFAULT_GROUP_BY,
    DEFAULT_GROUP_INTERVAL,
    DEFAULT_GROUP_WAIT,
    DEFAULT_REPEAT_INTERVAL,
    Escalation,
    Route,
)
from bartizan.alerts.values import Labels

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Way:
    """A route with all that it has from the branches that it grows from.

    Attributes:
        key: tells it from other routes; made of its matchers, so that other changes keep it.
    """

    key: str = "{}"
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = DEFAULT_GROUP_BY
    group_wait: timedelta = DEFAULT_GROUP_WAIT
    group_interval: timedelta = DEFAULT_GROUP_INTERVAL
    repeat_interval: timedelta = DEFAULT_REPEAT_INTERVAL
    channels: tuple[str, ...] = ()
    escalation: tuple[Escalation, ...] = ()
    mute_windows: tuple[str, ...] = ()
    active_windows: tuple[str, ...] = ()

    def group_labels(self, labels: Labels) -> Labels:
        """Returns the part of an alert's labels that its group shares."""
        names = sorted(labels) if self.group_by == (ALL_LABELS,) else self.group_by
        return {name: labels[name] for name in names if name in labels}


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts that are told of together."""

    key: str
    way: Way
    labels: Labels


@dataclass(frozen=True, slots=True)
class _Node:
    way: Way
    goes_on: bool
    branches: tuple["_Node", ...]

    def walk(self) -> Iterator[Way]:
        """Yields its way and those of all branches."""
        yield self.way
        for branch in self.branches:
            yield from branch.walk()

    def find(self, labels: Labels) -> Iterator[Way]:
        """Yields the ways of an alert that this node lets through."""
        found = False
        for branch in self.branches:
            if all_match(branch.way.matchers, labels):
                found = True
                yield from branch.find(labels)
                if not branch.goes_on:
                    break
        if not found:
            yield self.way


class Router:
    """The tree of routes, ready to sort alerts."""

    def __init__(self, root: Route) -> None:
        self._root = _grown(root, Way())
        self._ways = {way.key: way for way in self._root.walk()}

    def ways(self, labels: Labels) -> Sequence[Way]:
        """Returns the routes of an alert: the deepest that match, as in Alertmanager."""
        return tuple(dict.fromkeys(self._root.find(labels)))

    def groups(self, labels: Labels) -> Sequence[Group]:
        """Returns the groups of an alert: one for each of its routes."""
        made = []
        for way in self.ways(labels):
            shared = way.group_labels(labels)
            written = json.dumps(shared, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            made.append(Group(f"{way.key}:{written}", way, shared))
        return made

    def group_at(self, key: str) -> Group | None:
        """Returns the group of a key; None if its route is gone."""
        for at in sorted(self._ways, key=len, reverse=True):
            if key.startswith(f"{at}:{{"):
                return Group(key, self._ways[at], json.loads(key[len(at) + 1 :]))
        return None


def notification_key(project: str, group_key: str) -> str:
    """Returns the 64 hexadecimal digits by which channels know a group's notifications."""
    return hashlib.sha256(f"{project}|{group_key}".encode()).hexdigest()


def _grown(route: Route, parent: Way, key: str = "{}") -> _Node:
    way = Way(
        key,
        route.matchers,
        _or(route.group_by, parent.group_by),
        _or(route.group_wait, parent.group_wait),
        _or(route.group_interval, parent.group_interval),
        _or(route.repeat_interval, parent.repeat_interval),
        _or(route.channels, parent.channels),
        _or(route.escalation, parent.escalation),
        route.mute_windows,
        route.active_windows,
    )
    keys = _branch_keys(way.key, route.routes)
    branches = [_grown(branch, way, at) for branch, at in zip(route.routes, keys, strict=True)]
    return _Node(way, route.continue_, tuple(branches))


def _branch_keys(parent: str, routes: Sequence[Route]) -> Sequence[str]:
    made: list[str] = []
    for route in routes:
        key = f"{parent}/{{{','.join(map(str, route.matchers))}}}"
        # Two branches may have the same matchers: the first one goes on to the second.
        while key in made:
            key += "'"
        made.append(key)
    return made


def _or(own: T | None, inherited: T) -> T:
    return inherited if own is None else own
