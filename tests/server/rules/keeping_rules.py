"""What tests of rules that are kept share."""

from typing import Any

from bartizan.plugins.contract import Role, Text
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.keeping import Author, Change, RuleKeeper


def rule(name: str = "mine", **document: Any) -> dict[str, Any]:
    return {"id": name, "plugin": "words"} | document


def anything(before: StoredRule | None) -> None:
    """Allows every change."""


async def judged(book: RuleBook, project: int, value: str = "bad") -> set[str]:
    """Returns the rules that find something in a text."""
    judgement = await book.of(project).judge([Text(Role.USER, value)])
    return {ruled.rule for said in judgement.decisions.values() for ruled in said}


async def apply(
    keeper: RuleKeeper, author: Author, *documents: Any, **options: Any
) -> list[Change]:
    wanted: dict[str, Any] = {"prune": False, "expected_state": "", "dry": False} | options
    changes, _ = await keeper.apply(author, documents, **wanted)
    return changes
