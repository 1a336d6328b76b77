"""Secrets: API keys, private keys, tokens, and passwords in URLs and connection strings."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bartizan.guardrails.engine.secret_scan import SecretScan
from bartizan.guardrails.secrets_config import Allowed, SecretsConfig
from bartizan.guardrails.secrets_detectors import detectors, own
from bartizan.guardrails.secrets_found import Found
from bartizan.plugins.contract import Finding, Text

NOTHING: tuple[Finding, ...] = ()

SCAN_IN_THREAD_CHARACTERS = 256 * 1_024
"""A scan of this much takes about half a millisecond: the event loop can wait that long."""

LOOK_IN_THREAD_CHARACTERS = 8_000
"""A closer look at this much takes about half a millisecond too, as long as a switch of threads."""

LARGE_CHARACTERS = 64 * 1_024
"""A text from here on may take as long as thousands of others: those do not wait for it."""

SLICE_CHARACTERS = 16 * 1_024
"""Between slices other calls get their turn."""


class Secrets:
    """Finds secrets by their form, by their place, and by the name they are given to.

    Categories: `secret.` and the kind: `secret.github_token`. A finding covers the secret alone,
    so that what stands around it stays whole.
    """

    Config = SecretsConfig

    def __init__(self, config: SecretsConfig) -> None:
        """Makes the guardrail. It compiles its expressions at `start` or at the first check."""
        self._config = config
        self._wanted = config.wanted()
        self._allowed = Allowed(config)
        self._scan: SecretScan | None = None
        self._starting = asyncio.Lock()
        # One each: more would take turns at the interpreter's lock and keep the event loop waiting.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="secrets")
        self._large_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="secrets-large")

    async def start(self) -> None:
        """Compiles the expressions. Takes a tenth of a second."""
        async with self._starting:
            if self._scan is None:
                self._scan = await asyncio.to_thread(self._compiled)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the secrets in each text, in the order of the texts."""
        scan = await self._started()
        values = [text.value for text in texts]
        findings: list[Sequence[Finding]] = [NOTHING] * len(values)
        suspects: dict[str, list[int]] = {}
        for index in await _candidates(scan, values):
            suspects.setdefault(values[index], []).append(index)
        for part in _slices(suspects):
            for value, found in zip(part, await self._look(scan, part), strict=True):
                for index in suspects[value]:
                    findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._large_thread.shutdown(wait=False, cancel_futures=True)

    async def _started(self) -> SecretScan:
        if self._scan is None:
            await self.start()
        assert self._scan is not None
        return self._scan

    def _compiled(self) -> SecretScan:
        named = [own(one.name, one.pattern) for one in self._config.formats]
        return SecretScan([*detectors(self._wanted), *named])

    async def _look(self, scan: SecretScan, values: Sequence[str]) -> list[Sequence[Finding]]:
        size = sum(map(len, values))
        if size <= LOOK_IN_THREAD_CHARACTERS:
            return self._findings(scan, values, None)
        gone = threading.Event()
        thread = self._thread if size < LARGE_CHARACTERS else self._large_thread
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(thread, self._findings, scan, values, gone)
        finally:
            # Whoever waited may have left: the thread is for the next.
            gone.set()

    def _findings(
        self, scan: SecretScan, values: Sequence[str], gone: threading.Event | None
    ) -> list[Sequence[Finding]]:
        return [
            [_finding(one) for one in scan.find(value, gone) if self._counts(value, one)]
            for value in values
        ]

    def _counts(self, value: str, one: Found) -> bool:
        return one.category in self._wanted and value[one.start : one.end] not in self._allowed


async def _candidates(scan: SecretScan, values: Sequence[str]) -> Sequence[int]:
    if sum(map(len, values)) <= SCAN_IN_THREAD_CHARACTERS:
        return scan.candidates(values)
    return await asyncio.to_thread(scan.candidates, values)


def _slices(values: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for value in values:
        if part and size + len(value) > SLICE_CHARACTERS:
            yield part
            part, size = [], 0
        part.append(value)
        size += len(value)
    if part:
        yield part


def _finding(one: Found) -> Finding:
    code = f"SECRET_BY_{one.basis.name}"
    return Finding(f"secret.{one.category}", one.score, one.start, one.end, code)
