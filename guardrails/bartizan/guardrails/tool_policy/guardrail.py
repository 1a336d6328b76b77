"""Tool policy: what the arguments of calls may be."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.guardrails.tool_policy.arguments import Places, arguments, located, read, repeated
from bartizan.guardrails.tool_policy.checks import Checks
from bartizan.guardrails.tool_policy.config import ToolPolicyConfig
from bartizan.plugins.contract import Finding, Role, Text

LOOK_IN_THREAD_CHARACTERS = 1_500
"""A look at this much takes about half a millisecond with ten rules."""

HEED_EVERY = 256
NOTHING: tuple[Finding, ...] = ()


class ToolPolicy:
    """Finds arguments of calls that a policy forbids. Looks at texts of the role `tool_call` alone.

    Categories: `tool_policy.` and the id of the rule, `tool_policy.unreadable`,
    `tool_policy.repeated`. A finding covers the value in the JSON.
    """

    Config = ToolPolicyConfig

    def __init__(self, config: ToolPolicyConfig) -> None:
        """Makes the guardrail."""
        self._checks = Checks(config.rules)
        self._unreadable = config.unreadable
        self._looks = Looks("tool-policy", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what is forbidden in each call, in the order of the texts."""
        calls = [index for index, text in enumerate(texts) if text.role is Role.TOOL_CALL]
        findings: list[Sequence[Finding]] = [NOTHING] * len(texts)
        looked = await self._looks.at([texts[index].value for index in calls])
        for index, found in zip(calls, looked, strict=True):
            findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        if not value or value.isspace():
            return []
        try:
            document = read(value)
        except ValueError:
            return list(self._judged_as_text(value))
        faults = list(self._faults(document, gone))
        if not faults:
            return []
        places = located(value)
        return [
            Finding(category, score, *places[steps], code)
            for category, score, steps, code in faults
        ]

    def _judged_as_text(self, value: str) -> Iterator[Finding]:
        """Yields what is wrong with arguments that are no JSON, taken as a single string."""
        whole = (0, len(value))
        if self._unreadable:
            yield Finding("tool_policy.unreadable", 1.0, *whole, "ARGUMENTS_NOT_JSON")
        for check in self._checks.at(()):
            code = check.broken(value)
            if code is not None:
                yield Finding(f"tool_policy.{check.rule.id}", check.rule.score, *whole, code)

    def _faults(
        self, document: Any, gone: threading.Event
    ) -> Iterator[tuple[str, float, Places, str]]:
        for count, (path, steps, value) in enumerate(arguments(document)):
            if count % HEED_EVERY == 0:
                heed(gone)
            for check in self._checks.at(path):
                code = check.broken(value)
                if code is not None:
                    yield f"tool_policy.{check.rule.id}", check.rule.score, steps, code
            if self._unreadable:
                for _ in repeated(value):
                    yield "tool_policy.repeated", 1.0, steps, "NAME_REPEATED"
