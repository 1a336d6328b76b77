"""Tool policy: what the arguments of calls may be."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.guardrails.tool_policy.arguments import Places, arguments, located, read, repeated
from bartizan.guardrails.tool_policy.checks import Checks
from bartizan.guardrails.tool_policy.config import ToolPolicyConfig
from bartizan.guardrails.tool_policy.tools import Tools, named_in
from bartizan.plugins.contract import Finding, Role, Text

LOOK_IN_THREAD_CHARACTERS = 1_500
"""A look at this much takes about half a millisecond with ten rules."""

HEED_EVERY = 256

BETWEEN = "\0"
"""Stands between the name of the tool and what it is called with."""

TOOL = "tool_policy.tool"
NOTHING: tuple[Finding, ...] = ()


class ToolPolicy:
    """Finds calls that a policy forbids. Looks at texts of the role `tool_call` alone.

    Categories: `tool_policy.` and the id of the rule, which covers the value in the JSON;
    `tool_policy.tool`, `tool_policy.unreadable`, `tool_policy.repeated`.
    """

    Config = ToolPolicyConfig

    def __init__(self, config: ToolPolicyConfig) -> None:
        """Makes the guardrail."""
        self._checks = Checks(config.rules)
        self._limits_tools = bool(config.allowed_tools)
        self._allowed, self._denied = Tools(config.allowed_tools), Tools(config.denied_tools)
        self._unreadable = config.unreadable
        self._looks = Looks("tool-policy", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what is forbidden in each call, in the order of the texts."""
        calls = [index for index, text in enumerate(texts) if text.role is Role.TOOL_CALL]
        findings: list[Sequence[Finding]] = [NOTHING] * len(texts)
        looked = await self._looks.at([_with_tool(texts[index]) for index in calls])
        for index, found in zip(calls, looked, strict=True):
            findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, called: str, gone: threading.Event) -> Sequence[Finding]:
        tool, _, value = called.partition(BETWEEN)
        if not value or value.isspace():
            return list(self._judged_tool(tool, len(value)))
        try:
            document = read(value)
        except ValueError:
            return [*self._judged_tool(tool, len(value)), *self._judged_as_text(value, tool)]
        tool = tool or named_in(document)
        found = list(self._judged_tool(tool, len(value)))
        if faults := list(self._faults(document, tool, gone)):
            places = located(value)
            found += (
                Finding(category, score, *places[steps], code)
                for category, score, steps, code in faults
            )
        return found

    def _judged_tool(self, tool: str, length: int) -> Iterator[Finding]:
        if tool in self._denied:
            yield Finding(TOOL, 1.0, 0, length, "TOOL_DENIED")
        elif self._limits_tools and tool not in self._allowed:
            yield Finding(TOOL, 1.0, 0, length, "TOOL_NOT_ALLOWED" if tool else "TOOL_NOT_NAMED")

    def _judged_as_text(self, value: str, tool: str) -> Iterator[Finding]:
        """Yields what is wrong with arguments that are no JSON, taken as a single string."""
        whole = (0, len(value))
        if self._unreadable:
            yield Finding("tool_policy.unreadable", 1.0, *whole, "ARGUMENTS_NOT_JSON")
        for check in self._checks.at((), tool):
            code = check.broken(value)
            if code is not None:
                yield Finding(f"tool_policy.{check.rule.id}", check.rule.score, *whole, code)

    def _faults(
        self, document: Any, tool: str, gone: threading.Event
    ) -> Iterator[tuple[str, float, Places, str]]:
        for count, (path, steps, value) in enumerate(arguments(document)):
            if count % HEED_EVERY == 0:
                heed(gone)
            for check in self._checks.at(path, tool):
                code = check.broken(value)
                if code is not None:
                    yield f"tool_policy.{check.rule.id}", check.rule.score, steps, code
            if self._unreadable:
                for _ in repeated(value):
                    yield "tool_policy.repeated", 1.0, steps, "NAME_REPEATED"


def _with_tool(text: Text) -> str:
    tool = text.use.tool.replace(BETWEEN, "") if text.use else ""
    return f"{tool}{BETWEEN}{text.value}"
