"""Toxicity by the Perspective API, a service on the network. Sends texts away."""

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from bartizan.guardrails.engine.perspective_client import (
    PerspectiveDown,
    PerspectiveError,
    PerspectiveLanguage,
    Request,
    body_of,
    score_of,
)
from bartizan.guardrails.perspective_config import PerspectiveConfig
from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.errors import ConfigError

PIECE_BYTES = 3_000
"""What the service takes at least, whatever the account."""

SEAM_CHARACTERS = 200
"""A piece ends at a space among so many last characters, if there is one."""

SHARED_CHARACTERS = 100
"""Of a piece and the next: a sentence cut in two is whole in one of them, if it is short."""

FIRST_DELAY_SECONDS = 0.1
"""Before the first try again; twice as long before each further one."""

UNJUDGED = "perspective.unjudged"


class Piece(NamedTuple):
    """A stretch of a text that is sent as one request."""

    start: int
    end: int


class Perspective:
    """Finds what the Perspective API finds.

    Categories: those of the configuration, and `perspective.unjudged`. A finding covers the piece
    that scores most; a text has at most one of each attribute.
    """

    Config = PerspectiveConfig

    def __init__(
        self,
        config: PerspectiveConfig,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Makes the guardrail. It sends nothing before the first check."""
        self._config = config
        self._sleep = sleep
        self._chance = chance
        self._environ = environ
        self._context: ssl.SSLContext | None = None
        self._turns = asyncio.Semaphore(config.max_requests)
        self._threads = ThreadPoolExecutor(config.max_requests, thread_name_prefix="perspective")

    async def start(self) -> None:
        """Looks for the key. Raises ConfigError without one."""
        self._key()
        self._context = await asyncio.to_thread(ssl.create_default_context)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what the service finds in each text, in the order of the texts.

        Raises PerspectiveError if one of them cannot be judged.
        """
        values = [text.value for text in texts]
        asked = list(dict.fromkeys(value for value in values if value.strip()))
        if asked and self._context is None:
            await self.start()
        found = dict(zip(asked, await self._within_budget(asked), strict=True))
        return [found.get(value, ()) for value in values]

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _within_budget(self, values: Sequence[str]) -> list[Sequence[Finding]]:
        try:
            async with (
                asyncio.timeout(self._config.budget_ms / 1_000),
                asyncio.TaskGroup() as group,
            ):
                tasks = [group.create_task(self._found(value)) for value in values]
        except TimeoutError:
            raise PerspectiveDown("the budget is spent") from None
        except ExceptionGroup as failures:
            # The first says enough, and the chain tells failures apart by their type.
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _found(self, value: str) -> Sequence[Finding]:
        cut = list(pieces(value, self._config.max_pieces))
        judged: list[tuple[Piece, Mapping[str, Any]]] = []
        unjudged = [] if cut[-1].end == len(value) else [_unjudged(cut[-1].end, value, "TOO_LONG")]
        for piece in cut:
            text = value[piece.start : piece.end]
            if not text.strip():
                continue
            try:
                judged.append((piece, await self._asked(text)))
            except PerspectiveLanguage:
                unjudged.append(Finding(UNJUDGED, 1.0, *piece, "LANGUAGE"))
        told = unjudged if self._config.report_unjudged else []
        return [*self._findings(judged), *told]

    def _findings(self, judged: Sequence[tuple[Piece, Mapping[str, Any]]]) -> Iterator[Finding]:
        for name, wanted in self._config.attributes.items():
            scores = [(score_of(given, name), piece) for piece, given in judged]
            score, piece = max(scores, default=(0.0, Piece(0, 0)))
            if judged and score >= wanted.threshold:
                yield Finding(wanted.category, score, *piece, f"PERSPECTIVE_{name}")

    async def _asked(self, text: str) -> Mapping[str, Any]:
        """Returns the scores of a piece. Tries again for a while."""
        clean = text.encode("utf-8", "replace").decode()
        body = body_of(clean, self._config.attributes, self._config.languages)
        tries = 0
        while True:
            try:
                return await self._sent(body)
            except PerspectiveError as error:
                wait_s = max(error.retry_after_s, self._delay_s(tries))
                if not self._is_worth_it(error, tries, wait_s):
                    raise
            await self._sleep(wait_s)
            tries += 1

    def _delay_s(self, tries: int) -> float:
        return FIRST_DELAY_SECONDS * float(2**tries) * (0.5 + self._chance() / 2)

    def _is_worth_it(self, error: PerspectiveError, tries: int, wait_s: float) -> bool:
        in_time = wait_s < self._config.budget_ms / 1_000
        return error.retryable and tries < self._config.max_retries and in_time

    async def _sent(self, body: bytes) -> Mapping[str, Any]:
        timeout_s = self._config.request_timeout_ms / 1_000
        async with self._turns:
            request = Request(self._config.endpoint, self._key(), timeout_s, self._context)
            run = asyncio.get_running_loop().run_in_executor
            try:
                async with asyncio.timeout(timeout_s):
                    return await run(self._threads, request.scores, body)
            except TimeoutError:
                raise PerspectiveDown("no answer in time") from None
            finally:
                request.give_up()

    def _key(self) -> str:
        key = self._environ.get(self._config.key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            told = f"the environment variable {self._config.key_env} must hold the key of the API"
            raise ConfigError("KEY_MISSING", told, field="key_env")
        return key


def pieces(value: str, most: int) -> Iterator[Piece]:
    """Yields the first pieces of a text, which overlap a little."""
    start = 0
    for _ in range(most):
        whole = value[start : start + PIECE_BYTES].encode("utf-8", "replace")
        end = start + len(whole[:PIECE_BYTES].decode("utf-8", "ignore"))
        if end < len(value):
            space = value.rfind(" ", end - SEAM_CHARACTERS, end)
            end = end if space < 0 else space
        yield Piece(start, end)
        if end == len(value):
            return
        start = end - SHARED_CHARACTERS


def _unjudged(start: int, value: str, code: str) -> Finding:
    return Finding(UNJUDGED, 1.0, start, len(value), code)
