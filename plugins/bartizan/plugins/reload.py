"""Keeps the chain in step with its rules file. The last good set stays if the new one is bad."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Text
from bartizan.plugins.errors import BartizanError, ConfigError
from bartizan.plugins.judgement import ASK_ALL, Ask, Context, Judgement
from bartizan.plugins.rules import RuleSet, load_rules

Stamp = tuple[int, int, int]


class RulesFile:
    """A chain made from a file. Whoever owns it calls `poll` now and then."""

    def __init__(
        self,
        path: Path,
        build: Callable[[RuleSet], Chain],
        on_state: Callable[[bool], None] = lambda good: None,
    ) -> None:
        """Names the file; reads nothing.

        `build` makes a chain, `on_state` hears after each reading whether the file was good.
        """
        self._path = path
        self._build = build
        self._on_state = on_state
        self._stamp: Stamp | None = None
        self._live: _Live | None = None
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Loads the rules and starts their chain. Raises ConfigError if they are wrong."""
        self._stamp = self._look()
        self._live = _Live(await self._load())
        self._on_state(True)

    async def poll(self) -> BartizanError | None:
        """Swaps the rules if the file changed; calls under way end on the old ones.

        Returns the error if the changed file is bad: the rules that were good stay.
        """
        async with self._reading:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            try:
                chain = await self._load()
            except BartizanError as error:
                self._on_state(False)
                return error
            old, self._live = self._live, _Live(chain)
            self._on_state(True)
            if old is not None:
                await old.aclose()
            return None

    async def judge(
        self,
        texts: Sequence[Text],
        contexts: Sequence[Context] | None = None,
        ask: Ask = ASK_ALL,
    ) -> Judgement:
        """Returns what the rules of now say about the texts, as Chain.judge."""
        if self._live is None:
            raise RuntimeError("start() comes first")
        return await self._live.judge(texts, contexts, ask)

    @property
    def looks_at_context(self) -> bool:
        """Tells whether a rule of now asks where a text was seen."""
        return self._live is not None and self._live.looks_at_context

    async def aclose(self) -> None:
        """Ends the chain after the calls under way. May be called before `start`, and twice."""
        live, self._live = self._live, None
        if live is not None:
            await live.aclose()

    async def _load(self) -> Chain:
        chain = self._build(load_rules(self._read(), str(self._path)))
        try:
            await chain.start()
        except BaseException:
            await chain.aclose()
            raise
        return chain

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError("RULES_UNREADABLE", f"{self._path}: {why}") from None

    def _look(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size)


class _Live:
    """A chain and how many calls are in it."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def looks_at_context(self) -> bool:
        return self._chain.looks_at_context

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Judgement:
        self._calls += 1
        self._idle.clear()
        try:
            return await self._chain.judge(texts, contexts, ask)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def aclose(self) -> None:
        await self._idle.wait()
        await self._chain.aclose()
