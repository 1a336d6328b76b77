"""A database whose rules are those of these tests, and books over it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.database import Databases
from tests.support.ruling import add_project, opened_book

from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.keeping import Author, RuleKeeper
from bartizan.server.store.engine import create_engine

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUSE = """
rules:
  - {id: house, plugin: words, config: {words: [bad]}}
  - {id: spare, plugin: words, mode: shadow}
"""


@pytest.fixture(scope="module")
async def rules_url(databases: Databases) -> AsyncIterator[str]:
    url = await databases.create()
    yield url
    await databases.drop(url)


@pytest.fixture(scope="module")
async def rules_engine(rules_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(rules_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def book(rules_engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[RuleBook]:
    async with opened_book(rules_engine, tmp_path, HOUSE) as book:
        yield book


@pytest.fixture
async def project(rules_engine: AsyncEngine) -> int:
    return await add_project(rules_engine)


@pytest.fixture
def keeper(rules_engine: AsyncEngine, book: RuleBook) -> RuleKeeper:
    return RuleKeeper(rules_engine, book, lambda: NOW)


@pytest.fixture
def author(project: int) -> Author:
    return Author(project, "ada")
