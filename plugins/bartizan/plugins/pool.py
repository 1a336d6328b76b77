"""Plugins that are started and shared: one for all rules with the same plugin and configuration."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from bartizan.plugins.contract import Finding, Guardrail, Text
from bartizan.plugins.registry import Registry
from bartizan.plugins.rules import Rule
from bartizan.plugins.starting import start


class Broken:
    """Stands in for a plugin that cannot be had: its rule fails and follows its `on_error`."""

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Raises RuntimeError."""
        raise RuntimeError("the plugin of this rule could not be started")

    async def aclose(self) -> None:
        """Does nothing."""


@dataclass(slots=True)
class _Shared:
    plugin: Guardrail
    starting: "asyncio.Task[None]"
    users: int = 0


class PluginPool:
    """The plugins in use. Each `take` is to be met by one `give_back`."""

    def __init__(self, registry: Registry[Guardrail]) -> None:
        self._registry = registry
        self._shared: dict[str, _Shared] = {}

    async def take(self, rule: Rule) -> Guardrail:
        """Returns the plugin of a rule, started.

        Raises ConfigError if it is unknown, its configuration is wrong or it cannot be started;
        then there is nothing to give back.
        """
        key = _key(rule)
        if key not in self._shared:
            made = self._registry.create(rule.plugin, rule.config, f"rule '{rule.id}': config")
            self._shared[key] = _Shared(made, asyncio.create_task(start(made, rule)))
        shared = self._shared[key]
        shared.users += 1
        try:
            # Others wait for the same start: it goes on when this one is cancelled.
            await asyncio.shield(shared.starting)
        except BaseException:
            await self.give_back(rule)
            raise
        return shared.plugin

    async def give_back(self, rule: Rule) -> None:
        """Closes the plugin of a rule once nobody uses it."""
        key = _key(rule)
        shared = self._shared[key]
        shared.users -= 1
        if not shared.users:
            del self._shared[key]
            await asyncio.wait({shared.starting})
            await shared.plugin.aclose()


def _key(rule: Rule) -> str:
    return f"{rule.plugin} {json.dumps(rule.config, sort_keys=True, default=str)}"
