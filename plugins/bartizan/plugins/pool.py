"""Plugins that are started and shared: one for all rules with the same plugin and configuration."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bartizan.plugins.contract import Finding, Guardrail, Text
from bartizan.plugins.registry import Registry
from bartizan.plugins.rules import Rule
from bartizan.plugins.starting import start

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""How long anybody waits for a plugin to let go. One that does not is left behind."""


class Broken:
    """Stands in for a plugin that cannot be had: its rule fails and follows its `on_error`."""

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Raises RuntimeError."""
        raise RuntimeError("the plugin of this rule could not be started")

    async def aclose(self) -> None:
        """Does nothing."""


@dataclass(slots=True)
class _Shared:
    name: str
    plugin: Guardrail
    starting: "asyncio.Task[None]"
    users: int = 0

    async def close(self) -> None:
        self.starting.cancel()
        await asyncio.wait({self.starting})
        if not self.starting.cancelled():
            # Whoever waited for it has it by now, and maybe nobody did.
            self.starting.exception()
        try:
            await self.plugin.aclose()
        except (Exception, SystemExit) as error:
            logger.warning("guardrail %s: closing failed (%s)", self.name, type(error).__name__)


class PluginPool:
    """The plugins in use. Each `take` is to be met by one `give_back`."""

    def __init__(self, registry: Registry[Guardrail]) -> None:
        self._registry = registry
        self._shared: dict[str, _Shared] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """The number of plugins in use."""
        return len(self._shared)

    async def take(self, rule: Rule) -> Guardrail:
        """Returns the plugin of a rule, started.

        Raises ConfigError if it is unknown, its configuration is wrong or it cannot be started;
        then there is nothing to give back.
        """
        key = _key(rule)
        if key not in self._shared:
            made = self._registry.create(rule.plugin, rule.config, f"rule '{rule.id}': config")
            # Without the rule's id: others wait for the same start, in other projects maybe.
            starting = asyncio.create_task(start(made, f"guardrail '{rule.plugin}'"))
            self._shared[key] = _Shared(rule.plugin, made, starting)
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
        """Closes the plugin of a rule once nobody uses it; whatever it does then, never raises.

        Returns after CLOSE_SECONDS at the latest.
        """
        key = _key(rule)
        shared = self._shared[key]
        shared.users -= 1
        if shared.users:
            return
        del self._shared[key]
        closing = asyncio.create_task(shared.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        if not done:
            logger.warning("guardrail %s does not let go and is left behind", shared.name)


def _key(rule: Rule) -> str:
    # The document's keys are texts, so that they can be sorted.
    return f"{rule.plugin} {json.dumps(rule.document.get('config'), sort_keys=True)}"
