"""Changes the rules of a project: checked before they are written, all of a change or nothing."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import Aborted, ConfigError, NotFound, TooLarge
from bartizan.plugins.rules import Rule, RuleSet
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.documents import StoredRule, effective
from bartizan.server.rules.probing import warnings_of
from bartizan.server.store import guardrail_rules as store

MAX_RULES = 1_024
MAX_DOCUMENT_BYTES = 256 * 1024

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one rule.

    Attributes:
        before: the project's own rule; None if it had none.
        after: None if it is deleted.
        warnings: what its author may want to think about.
    """

    id: str
    before: StoredRule | None
    after: StoredRule | None
    warnings: Sequence[str] = ()

    @property
    def changes(self) -> bool:
        """False if the rule stays as it is."""
        return self.before is not self.after


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes rules."""

    project_id: int
    name: str


class RuleKeeper:
    """Reads and changes the rules of projects."""

    def __init__(self, engine: AsyncEngine, book: RuleBook, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._book = book
        self._clock = clock

    async def own(self, project_id: int) -> dict[str, StoredRule]:
        """Returns the project's own rules by id."""
        async with self._engine.connect() as connection:
            return await store.of_project(connection, project_id)

    async def write(
        self,
        author: Author,
        document: Document,
        *,
        may: Callable[[StoredRule | None], None],
        paused: bool | None = None,
        dry: bool = False,
    ) -> Change:
        """Makes a rule, or another version of it.

        `may` gets what there is and raises what forbids it. `paused` is as before when None. Raises
        ConfigError, TooLarge.
        """
        rule = parse_rule(document, "document")

        def planned(own: Mapping[str, StoredRule]) -> list[Change]:
            before = own.get(rule.id)
            may(before)
            stays = before.paused if before is not None else False
            after = self._made(author, rule, stays if paused is None else paused)
            return [_change(rule.id, before, after)]

        [change] = await self._carry_out(author, planned, dry=dry)
        return change

    async def delete(
        self, author: Author, rule_id: str, may: Callable[[StoredRule | None], None]
    ) -> None:
        """Ends a rule of the project's own. Raises what `may` raises, NotFound, ConfigError."""

        def planned(own: Mapping[str, StoredRule]) -> list[Change]:
            before = own.get(rule_id)
            may(before)
            if before is None:
                raise rule_not_found()
            return [Change(rule_id, before, None)]

        await self._carry_out(author, planned, dry=False)

    async def apply(
        self,
        author: Author,
        documents: Sequence[Document],
        *,
        prune: bool,
        expected_state: str,
        dry: bool,
    ) -> tuple[list[Change], str]:
        """Makes the project's rules those of the documents; returns what changes, by id.

        Returns also the state before. Raises ConfigError, TooLarge, and Aborted if the state is not
        the expected one.
        """
        rules = [parse_rule(one, f"documents[{number}]") for number, one in enumerate(documents)]
        RuleSet(tuple(rules)).check_ids("documents")
        state = ""

        def planned(own: Mapping[str, StoredRule]) -> list[Change]:
            nonlocal state
            state = state_of(own.values())
            if expected_state and expected_state != state:
                raise Aborted("RULES_CHANGED", "somebody changed the rules in between; look again")
            changes = [self._applied(author, rule, own.get(rule.id)) for rule in rules]
            wanted = {rule.id for rule in rules}
            if prune:
                gone = [one for rule_id, one in own.items() if rule_id not in wanted]
                changes += [Change(one.id, one, None) for one in gone]
            return sorted(changes, key=lambda change: change.id)

        return await self._carry_out(author, planned, dry=dry), state

    def _applied(self, author: Author, rule: Rule, before: StoredRule | None) -> Change:
        paused = before.paused if before is not None else False
        return _change(rule.id, before, self._made(author, rule, paused))

    def _made(self, author: Author, rule: Rule, paused: bool) -> StoredRule:
        return StoredRule(
            author.project_id,
            rule.id,
            0,
            rule.version,
            rule.document,
            paused,
            author.name,
            self._clock(),
        )

    async def _carry_out(
        self,
        author: Author,
        planned: Callable[[Mapping[str, StoredRule]], list[Change]],
        *,
        dry: bool,
    ) -> list[Change]:
        async with self._engine.begin() as connection:
            await store.lock(connection)
            own = await store.of_project(connection, author.project_id)
            changes = planned(own)
            warned = await self._checked(own, changes)
            if dry:
                return warned
            done = [await self._written(connection, author, change) for change in warned]
        await self._book.poll_own()
        return done

    async def _checked(
        self, own: Mapping[str, StoredRule], changes: Sequence[Change]
    ) -> list[Change]:
        """Returns the changes with warnings; raises ConfigError if the rules would be wrong."""
        left = dict(own)
        for change in changes:
            left.pop(change.id, None)
            if change.after is not None:
                left[change.id] = change.after
        if len(left) > MAX_RULES:
            raise TooLarge("TOO_MANY_RULES", f"a project has at most {MAX_RULES} rules of its own")
        rules = effective(self._book.house.rules, list(left.values())).rules.check()
        return [
            replace(change, warnings=await warnings_of(change.after.rule(), rules, self._book))
            if change.after is not None and change.changes
            else change
            for change in changes
        ]

    async def _written(self, connection: AsyncConnection, author: Author, change: Change) -> Change:
        if not change.changes:
            return change
        if change.after is not None:
            return replace(change, after=await store.insert(connection, change.after))
        assert change.before is not None
        ended = replace(
            change.before,
            document=None,
            version="",
            paused=False,
            author=author.name,
            create_time=self._clock(),
        )
        await store.insert(connection, ended)
        return change


def parse_rule(document: Document, where: str) -> Rule:
    """Returns the rule of a document; raises ConfigError, TooLarge."""
    size = len(json.dumps(document))
    if size > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            "RULE_TOO_LARGE",
            f"{where} has {size} bytes as JSON; the limit is {MAX_DOCUMENT_BYTES}",
            field=where,
            metadata={"limit": str(MAX_DOCUMENT_BYTES), "size": str(size)},
        )
    try:
        return parse_config(Rule, document, where)
    except RecursionError:
        raise ConfigError("INVALID_CONFIG", f"{where}: nested too deeply", field=where) from None


def state_of(own: Collection[StoredRule]) -> str:
    """Returns what identifies a state of a project's own rules."""
    revisions = sorted(one.revision for one in own)
    return hashlib.sha256(repr(revisions).encode()).hexdigest()[:16]


def rule_not_found() -> NotFound:
    """Returns the error for a rule that is not there, or not the caller's."""
    return NotFound("RULE_NOT_FOUND", "There is no such rule.", field="name")


def _change(rule_id: str, before: StoredRule | None, after: StoredRule) -> Change:
    if before is not None and (before.document, before.paused) == (after.document, after.paused):
        return Change(rule_id, before, before)
    return Change(rule_id, before, after)
