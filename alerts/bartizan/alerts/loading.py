"""One YAML document set: rules, channels, the route tree, silences, windows and inhibitions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field

from bartizan.alerts.channels import Channel
from bartizan.alerts.documents import Document, unknown
from bartizan.alerts.matchers import Matcher
from bartizan.alerts.mute_windows import MuteWindow
from bartizan.alerts.routes import ALL_LABELS, Route
from bartizan.alerts.rule_checks import RESERVED_LABELS
from bartizan.alerts.rules import AlertRule
from bartizan.alerts.scope import GROUP_KEYS
from bartizan.alerts.silences import Inhibition, Silence
from bartizan.plugins.config import as_mapping, parse_config
from bartizan.plugins.durations import format_duration
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.yaml_text import read_yaml

KNOWN_LABELS = (*RESERVED_LABELS, *GROUP_KEYS)

_MANY = Field(max_length=2_000)


class AlertsDocument(Document):
    """The whole of an alerts file. Every part may be left out."""

    rules: Annotated[tuple[AlertRule, ...], _MANY] = Field((), description="What is watched.")
    channels: Annotated[tuple[Channel, ...], _MANY] = Field((), description="Ways out.")
    route: Route | None = Field(None, description="Who is told of what: the root of the tree.")
    silences: Annotated[tuple[Silence, ...], _MANY] = Field((), description="Quiet for a while.")
    mute_windows: Annotated[tuple[MuteWindow, ...], _MANY] = Field(
        (), description="Times of the week."
    )
    inhibitions: Annotated[tuple[Inhibition, ...], _MANY] = Field(
        (), description="Alerts that make others quiet."
    )

    def check(self, where: str = "alerts", known: "Known | None" = None) -> Self:
        """Returns the document. Raises ConfigError if an id is there twice or named in vain.

        `known` are names that exist beside those in the document.
        """
        for problem in self._repeated():
            raise ConfigError("DUPLICATE_ID", f"{where}: {problem}")
        for problem in _root(self.route):
            raise ConfigError("INVALID_CONFIG", f"{where}: {problem}", field="route")
        for problem in self.unresolved(known or Known()):
            raise ConfigError("UNKNOWN_NAME", f"{where}: {problem}")
        return self

    def unresolved(self, known: "Known") -> Iterator[str]:
        """Yields what is named and not there."""
        channels = known.channels | {channel.id for channel in self.channels}
        windows = known.mute_windows | {window.id for window in self.mute_windows}
        for channel in self.channels:
            if channel.fallback and channel.fallback not in channels:
                yield f"channel '{channel.id}': {unknown('channel', channel.fallback, channels)}"
        for route in self.route.walk() if self.route is not None else ():
            for name in route.named_channels():
                if name not in channels:
                    yield f"route: {unknown('channel', name, channels)}"
            for name in (*route.mute_windows, *route.active_windows):
                if name not in windows:
                    yield f"route: {unknown('mute window', name, windows)}"
        if known.labels is not None:
            yield from self._unknown_labels(self.labels | known.labels)

    @property
    def labels(self) -> frozenset[str]:
        """The labels that alerts of these rules can have."""
        own = {name for rule in self.rules for name in rule.labels}
        return frozenset(own).union(KNOWN_LABELS)

    def _unknown_labels(self, labels: Collection[str]) -> Iterator[str]:
        for where, names in self._named_labels():
            for name in names:
                if name not in labels:
                    yield f"{where}: {unknown('label', name, labels)}"

    def _named_labels(self) -> Iterator[tuple[str, Iterable[str]]]:
        for route in self.route.walk() if self.route is not None else ():
            yield "route", _names(route.matchers)
            yield "route", (name for name in route.group_by or () if name != ALL_LABELS)
        for silence in self.silences:
            yield f"silence '{silence.id}'", _names(silence.matchers)
        for one in self.inhibitions:
            yield f"inhibition '{one.id}'", _names((*one.source_matchers, *one.target_matchers))
            yield f"inhibition '{one.id}'", one.equal

    def _repeated(self) -> Iterator[str]:
        parts: Mapping[str, Iterable[AlertRule | Channel | Silence | MuteWindow | Inhibition]] = {
            "rules": self.rules,
            "channels": self.channels,
            "silences": self.silences,
            "mute windows": self.mute_windows,
            "inhibitions": self.inhibitions,
        }
        for what, documents in parts.items():
            seen: set[str] = set()
            for document in documents:
                if document.id in seen:
                    yield f"two {what} have the id '{document.id}'"
                seen.add(document.id)


@dataclass(frozen=True, slots=True)
class Known:
    """Names that exist beside a document.

    Attributes:
        labels: of rules that are not in it; None if they are not known, and not checked.
    """

    channels: frozenset[str] = frozenset()
    mute_windows: frozenset[str] = frozenset()
    labels: frozenset[str] | None = frozenset()


def load_alerts(text: str, where: str = "alerts", known: Known | None = None) -> AlertsDocument:
    """Returns what a YAML document says.

    `where` names the document in messages. Raises ConfigError with one sentence if it is no YAML, a
    key or a name is unknown, a value is out of bounds, or an id is there twice.
    """
    document = as_mapping(read_yaml(text, where), where)
    return parse_config(AlertsDocument, document, where).check(where, known)


def check_retention(rule: AlertRule, retention: timedelta) -> None:
    """Raises ConfigError if a rule looks further back than data are kept."""
    if rule.looks_back > retention:
        needed, kept = format_duration(rule.looks_back), format_duration(retention)
        raise ConfigError(
            "WINDOW_BEYOND_RETENTION",
            f"rule '{rule.id}': 'window' needs data of {needed}, and they are kept for {kept}",
            field="window",
            metadata={"needed": needed, "retention": kept},
        )


def _root(route: Route | None) -> Iterator[str]:
    if route is None:
        return
    if route.matchers:
        yield "route: the root is for all alerts, so it has no matchers; branches in 'routes' have"
    if route.channels is None:
        yield "route: the root needs 'channels'; an empty list means nobody"
    if route.mute_windows or route.active_windows:
        yield "route: the root has no windows: somebody has to be told; branches can have them"


def _names(matchers: Iterable[Matcher]) -> Iterator[str]:
    return (matcher.name for matcher in matchers)
