"""Rules of projects for tests: projects, a plugin that does as it is told, a book of rules."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar, TypeGuard

from prometheus_client import CollectorRegistry
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.database import project_ids

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Guardrail, Text
from bartizan.plugins.pool import PluginPool
from bartizan.plugins.registry import GUARDRAILS, Registry
from bartizan.server.metrics import Metrics
from bartizan.server.rules.book import RuleBook
from bartizan.server.store import guardrail_rules

SECRET = "hunter2-swordfish"
"""A value that stands in documents, and in nothing that is told of them."""


class Words:
    """Finds words; or fails, hangs, waits for the gate, or is slow to start, as it is told."""

    open: ClassVar[int] = 0
    """How many are started and not closed."""
    asked: ClassVar[list[Text]] = []
    gate: ClassVar[asyncio.Event]

    class Config(PluginConfig):
        words: tuple[str, ...] = ("bad",)
        category: str = "test.word"
        score: float = Field(1.0, ge=0, le=1)
        everything: bool = False
        how: str = ""

    def __init__(self, config: Config) -> None:
        if config.how == "unmakeable":
            raise ValueError(SECRET)
        self._config = config

    async def start(self) -> None:
        type(self).open += 1
        if self._config.how == "no start":
            raise ValueError(SECRET)
        if self._config.how == "hanging start":
            await asyncio.Event().wait()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.asked.extend(texts)
        if self._config.how == "failing":
            raise ValueError(SECRET)
        if self._config.how == "hanging":
            await asyncio.Event().wait()
        if self._config.how == "gated":
            await self.gate.wait()
        return [list(self._found(one.value)) for one in texts]

    def _found(self, value: str) -> Sequence[Finding]:
        made = self._config
        if made.everything:
            return [Finding(made.category, made.score, 0, len(value), "WORD")]
        at = [(value.find(word), len(word)) for word in made.words]
        return [
            Finding(made.category, made.score, start, start + size, "WORD")
            for start, size in at
            if start >= 0
        ]

    async def aclose(self) -> None:
        type(self).open -= 1


def words_registry() -> Registry[Guardrail]:
    """Returns a registry of the one plugin `words`."""
    entry = EntryPoint("words", f"{__name__}:Words", GUARDRAILS)
    return Registry(GUARDRAILS, _is_guardrail, [entry])


def _is_guardrail(plugin: object) -> TypeGuard[Guardrail]:
    return isinstance(plugin, Guardrail)


@asynccontextmanager
async def opened_book(
    engine: AsyncEngine, folder: Path, rules: str = "rules: []", metrics: Metrics | None = None
) -> AsyncIterator[RuleBook]:
    """Starts a book of rules over a file and a database; fails if it leaves a plugin open."""
    path = folder / "rules.yaml"
    path.write_text(rules)
    load = partial(guardrail_rules.newer, engine)
    book = RuleBook(path, load, b"key", metrics or Metrics(CollectorRegistry()))
    book.registry = words_registry()
    book.pool = PluginPool(book.registry)
    Words.open = 0
    Words.asked.clear()
    Words.gate = asyncio.Event()
    try:
        await book.start()
        yield book
    finally:
        await book.aclose()
    assert (len(book.pool), Words.open) == (0, 0), "no plugin is left behind"


async def add_project(engine: AsyncEngine) -> int:
    """Makes a project that no other test uses; returns its number."""
    project_id = next(project_ids)
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO organizations (slug) VALUES ('acme') ON CONFLICT DO NOTHING")
        )
        await connection.execute(
            text(
                "INSERT INTO projects (id, organization_id, slug) OVERRIDING SYSTEM VALUE"
                " SELECT :id, id, 'p' || :slug FROM organizations WHERE slug = 'acme'"
            ),
            {"id": project_id, "slug": str(project_id)},
        )
    return project_id
