"""Runs one rule over many texts and contains whatever its plugin does."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

from bartizan.plugins.contract import Finding, Guardrail, Text
from bartizan.plugins.judgement import ASK_ALL, Ask, ChainMetrics, Failure
from bartizan.plugins.limits import Breaker
from bartizan.plugins.rules import Rule

logger = logging.getLogger(__name__)

CATEGORY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
CODE = re.compile(r"[A-Z][A-Z0-9_]*")

Found = dict[int, list[Finding]]


class FaultyFinding(ValueError):
    """Raised when a plugin gives what cannot be: offsets outside the text, a score above 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule found, by index of the text, or why it could not say; and how long it took.

    Attributes:
        unjudged: the indexes that the failure is about; None is all of them.
    """

    found: Found
    failure: Failure | None = None
    seconds: float = 0.0
    unjudged: Sequence[int] | None = None


class RuleRunner:
    """One rule with its plugin, deadline, concurrency limit and circuit breaker."""

    def __init__(
        self, rule: Rule, plugin: Guardrail, clock: Callable[[], float], metrics: ChainMetrics
    ) -> None:
        self.rule = rule
        self.plugin = plugin
        self._clock = clock
        self._metrics = metrics
        self._breaker = Breaker(clock)
        self._slots = asyncio.Semaphore(rule.max_concurrency)
        self._abandoned: set[asyncio.Task[Found]] = set()

    async def run(self, texts: Sequence[Text], ask: Ask = ASK_ALL) -> Outcome:
        """Returns what the rule's plugin finds in the texts. Never raises but CancelledError."""
        if not self._breaker.allows():
            return self._failed(Failure.CIRCUIT_OPEN, len(texts), 0.0)
        budget_s = self.rule.budget_ms / 1_000
        hurried = ask.seconds is not None and ask.seconds < budget_s
        started = self._clock()
        turn = asyncio.Event()
        # A task of its own, so that a plugin that does not heed its cancellation is left behind.
        call = asyncio.create_task(self._call(texts, turn))
        try:
            # One turn is enough for most, and to wait for longer costs more than they do.
            await asyncio.sleep(0)
            if not call.done():
                await asyncio.wait({call}, timeout=ask.seconds if hurried else budget_s)
        finally:
            if not call.done():
                self._abandon(call)
        seconds = self._clock() - started
        if not call.done():
            if hurried or not turn.is_set():
                # Its caller had no time, or it waited for its turn: the plugin is not broken.
                return self._failed(Failure.TIMEOUT, len(texts), seconds)
            return self._plugin_failed(Failure.TIMEOUT, TimeoutError(), len(texts), seconds)
        if call.cancelled():
            error: BaseException | None = asyncio.CancelledError()
        else:
            error = call.exception()
        if error is not None:
            return self._plugin_failed(Failure.ERROR, error, len(texts), seconds)
        self._succeeded(call.result(), len(texts), seconds, ask.counts)
        return Outcome(call.result(), seconds=seconds)

    async def _call(self, texts: Sequence[Text], turn: asyncio.Event) -> Found:
        async with self._slots:
            turn.set()
            try:
                results = await self.plugin.check(texts)
            except SystemExit as error:
                # Out of a task it would end the server.
                raise RuntimeError("the plugin tried to exit") from error
            return checked(texts, results, self.rule.threshold)

    def _abandon(self, call: asyncio.Task[Found]) -> None:
        self._abandoned.add(call)
        call.add_done_callback(self._forget)
        call.cancel()

    def _forget(self, call: asyncio.Task[Found]) -> None:
        self._abandoned.discard(call)
        if not call.cancelled():
            call.exception()

    def _succeeded(self, found: Found, texts: int, seconds: float, counts: bool) -> None:
        if self._breaker.is_open:
            logger.warning("rule %s works again", self.rule.id)
            self._metrics.circuit(self.rule.id, False)
        self._breaker.succeeded()
        self._metrics.judged(self.rule.id, texts, seconds)
        findings = sum(len(self.rule.reported(one)) for one in found.values()) if counts else 0
        if findings:
            self._metrics.found(self.rule.id, self.rule.action, self.rule.shadow, findings)

    def _plugin_failed(
        self, failure: Failure, error: BaseException, texts: int, seconds: float
    ) -> Outcome:
        was_open = self._breaker.is_open
        self._breaker.failed()
        # The type alone: a message may quote the text. And only the first in a row.
        if self._breaker.failures == 1:
            logger.warning("rule %s: %s (%s)", self.rule.id, failure, type(error).__name__)
        if self._breaker.is_open and not was_open:
            logger.error("rule %s keeps failing and is suspended", self.rule.id)
            self._metrics.circuit(self.rule.id, True)
        return self._failed(failure, texts, seconds)

    def _failed(self, failure: Failure, texts: int, seconds: float) -> Outcome:
        self._metrics.failed(self.rule.id, failure, texts)
        return Outcome({}, failure, seconds)


def checked(
    texts: Sequence[Text], results: Sequence[Sequence[Finding]], threshold: float = 0.0
) -> Found:
    """Returns the findings at or above the threshold by index of their text.

    Raises FaultyFinding if there is not one result per text or a finding cannot be.
    """
    if len(results) != len(texts):
        raise FaultyFinding(f"{len(results)} results for {len(texts)} texts")
    found: Found = {}
    for index in compress(range(len(texts)), results):
        length = len(texts[index].value)
        for finding in results[index]:
            _check(finding, length)
        if kept := [finding for finding in results[index] if finding.score >= threshold]:
            found[index] = kept
    return found


def _check(finding: Finding, length: int) -> None:
    if not 0 <= finding.start <= finding.end <= length:
        raise FaultyFinding("offsets outside the text")
    if not 0 <= finding.score <= 1:
        raise FaultyFinding("a score outside 0 to 1")
    if not CATEGORY.fullmatch(finding.category) or not CODE.fullmatch(finding.code):
        raise FaultyFinding("a malformed category or code")
