"""Finds plugins by name. Built-in and third-party ones register the same way: entry points."""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeGuard, TypeVar

from bartizan.plugins.config import PluginConfig, missing_package, nearest, parse_config
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.errors import BartizanError, ConfigError
from bartizan.plugins.notification import Notifier

P = TypeVar("P")

GUARDRAILS = "bartizan.guardrails"
EVALUATORS = "bartizan.evaluators"
NOTIFIERS = "bartizan.notifiers"


class Registry(Generic[P]):
    """The plugins of one group. Nothing is imported before it is asked for.

    A plugin is a class with a `Config`, a PluginConfig, that is made as `cls(config)` and keeps
    the contract of its group.
    """

    def __init__(
        self,
        group: str,
        keeps_contract: Callable[[object], TypeGuard[P]],
        entries: Iterable[EntryPoint] | None = None,
    ) -> None:
        """Lists the plugins of `group`. Raises ConfigError if two have the same name."""
        self._kind = group.rpartition(".")[2].removesuffix("s")
        self._keeps_contract = keeps_contract
        self._entries: dict[str, EntryPoint] = {}
        for entry in entry_points(group=group) if entries is None else entries:
            self._add(entry)

    def names(self) -> tuple[str, ...]:
        """Returns the names of all plugins, sorted."""
        return tuple(sorted(self._entries))

    def config_type(self, name: str) -> type[PluginConfig]:
        """Returns the configuration class of a plugin. Raises ConfigError as `create` does."""
        return self._load(name)[1]

    def create(self, name: str, config: Mapping[str, Any] | None = None, where: str = "") -> P:
        """Returns a new plugin.

        `where` names the document that holds `config`. Raises ConfigError if there is no such
        plugin, a package of it is missing, it is no plugin or its configuration is wrong.
        """
        cls, config_type = self._load(name)
        parsed = parse_config(config_type, config or {}, where or f"{self._kind} '{name}'")
        try:
            plugin = cls(parsed)
        except BartizanError:
            raise
        except Exception as error:
            # The type alone: a message may quote a secret of the configuration.
            raise self._broken(name, f"cannot be made: {type(error).__name__}") from error
        if not self._keeps_contract(plugin):
            raise self._broken(name, "lacks a method of its contract")
        return plugin

    def _add(self, entry: EntryPoint) -> None:
        known = self._entries.setdefault(entry.name, entry)
        if known.value != entry.value or _distribution(known) != _distribution(entry):
            raise ConfigError(
                "DUPLICATE_PLUGIN",
                f"two distributions offer a {self._kind} '{entry.name}': "
                f"{_distribution(known)} and {_distribution(entry)}; uninstall one of them",
            )

    def _load(self, name: str) -> tuple[Callable[[PluginConfig], P], type[PluginConfig]]:
        entry = self._entries.get(name)
        if entry is None:
            known = ", ".join(self.names()) or "none"
            hint = nearest(name, self._entries)
            raise ConfigError(
                "UNKNOWN_PLUGIN", f"no {self._kind} '{name}'{hint}; installed: {known}"
            )
        try:
            cls = entry.load()
        except ImportError as error:
            what = f"{self._kind} '{name}' of {_distribution(entry)}"
            raise missing_package(what, error, next(iter(entry.extras), None)) from error
        except AttributeError as error:
            raise self._broken(name, f"has no '{entry.attr}' in {entry.module}") from error
        config = getattr(cls, "Config", None)
        if not (isinstance(config, type) and issubclass(config, PluginConfig)):
            raise self._broken(name, "has no 'Config' that is a PluginConfig")
        return cls, config

    def _broken(self, name: str, fault: str) -> ConfigError:
        owner = _distribution(self._entries[name])
        return ConfigError("BROKEN_PLUGIN", f"{self._kind} '{name}' of {owner} {fault}")


def guardrails() -> Registry[Guardrail]:
    """Returns the registry of all installed guardrails."""
    return Registry(GUARDRAILS, _is_guardrail)


def notifiers() -> Registry[Notifier]:
    """Returns the registry of all installed notifiers."""
    return Registry(NOTIFIERS, _is_notifier)


def _is_guardrail(plugin: object) -> TypeGuard[Guardrail]:
    return isinstance(plugin, Guardrail)


def _is_notifier(plugin: object) -> TypeGuard[Notifier]:
    return isinstance(plugin, Notifier)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown distribution"
