"""Changes the rules of a project: checked before they are written, all of a change or nothing."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.plugins.errors import Aborted, ConfigError, NotFound, TooLarge
from bartizan.plugins.rules import Rule, RuleSet
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.documents import StoredRule, effective
from bartizan.server.rules.probing import PROBE_SECONDS, warnings_of
from bartizan.server.rules.reading import Document, document_bytes, parse_rule
from bartizan.server.store import guardrail_rules as store

MAX_RULES = 1_024
MAX_TOGETHER_BYTES = 4 * 1024 * 1024
"""A list of all rules is one message, and a difference holds each of them twice."""
TRIALS_SECONDS = 20.0
"""For all rules of one change together: what is left over is checked, and not tried on texts."""

Own = Mapping[str, StoredRule]
"""The rules of a project by id."""


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

    @property
    def is_new_to_judge(self) -> bool:
        """False if nothing will judge that has not judged so before: it is paused, or deleted."""
        if self.after is None or not self.changes:
            return False
        written = self.before is None or self.before.document != self.after.document
        return written or not self.after.paused


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
        dry: bool = False,
    ) -> Change:
        """Makes a rule, or another version of it. A paused one stays paused.

        `may` gets what there is and raises what forbids it. Raises ConfigError, TooLarge.
        """
        rule = parse_rule(document, "document")

        def planned(own: Own) -> list[Change]:
            may(own.get(rule.id))
            return [self._applied(author, rule, own.get(rule.id))]

        [change] = await self._carry_out(author, planned, dry=dry)
        return change

    async def pause(self, author: Author, rule_id: str, *, paused: bool) -> StoredRule | None:
        """Stops a rule or lets it go on. Returns the project's own rule; None if it has none.

        A rule of the server's is paused by a copy of it, which ends when it goes on unchanged.
        Raises NotFound, ConfigError.
        """

        def planned(own: Own) -> list[Change]:
            before, house = own.get(rule_id), self._book.house.rules.by_id.get(rule_id)
            if before is None:
                if house is None:
                    raise rule_not_found()
                copy = self._made(author, house, paused=True)
                return [Change(rule_id, None, copy)] if paused else []
            if not paused and house is not None and before.rule().version == house.version:
                return [Change(rule_id, before, None)]
            after = replace(before, paused=paused, author=author.name, create_time=self._clock())
            return [_change(rule_id, before, after)]

        changes = await self._carry_out(author, planned, dry=False)
        return changes[0].after if changes else None

    async def delete(
        self, author: Author, rule_id: str, may: Callable[[StoredRule | None], None]
    ) -> None:
        """Ends a rule of the project's own. Raises what `may` raises, NotFound, ConfigError."""

        def planned(own: Own) -> list[Change]:
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

        def planned(own: Own) -> list[Change]:
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
        return _change(rule.id, before, self._made(author, rule, paused=paused))

    def _made(self, author: Author, rule: Rule, *, paused: bool) -> StoredRule:
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
        self, author: Author, planned: Callable[[Own], list[Change]], *, dry: bool
    ) -> list[Change]:
        done = None
        while done is None:
            own = await self.own(author.project_id)
            # Before the lock: a rule may take its time to be tried, and others write meanwhile.
            changes = await self._tried(own, planned(own))
            if dry:
                return changes
            done = await self._written(author, own, changes)
        await self._book.poll_own()
        return done

    async def _tried(self, own: Own, changes: Sequence[Change]) -> list[Change]:
        """Returns the changes with warnings; raises ConfigError if the rules would be wrong."""
        rules = self._fitting(own, changes)
        clock = asyncio.get_running_loop().time
        end = clock() + TRIALS_SECONDS
        tried = []
        for change in changes:
            warnings: Sequence[str] = ()
            if change.after is not None and change.is_new_to_judge:
                seconds = min(PROBE_SECONDS, end - clock())
                warnings = await warnings_of(change.after.rule(), rules, self._book, seconds)
            tried.append(replace(change, warnings=warnings))
        return tried

    def _fitting(self, own: Own, changes: Sequence[Change]) -> RuleSet:
        """Returns the rules of after a change; raises ConfigError, TooLarge if they cannot be.

        What was wrong before is no obstacle.
        """
        left = dict(own)
        for change in changes:
            left.pop(change.id, None)
            if change.after is not None:
                left[change.id] = change.after
        _check_sizes(left.values())
        house = self._book.house.rules
        found, known = effective(house, left.values()), effective(house, own.values()).problems
        for rule_id, problem in found.problems.items():
            if left.get(rule_id) is not own.get(rule_id) or rule_id not in known:
                raise ConfigError("UNKNOWN_RULE", f"rules: {problem}")
        return found.rules

    async def _written(
        self, author: Author, own: Own, changes: Sequence[Change]
    ) -> list[Change] | None:
        """Writes the changes; returns them, or None if they are of rules that are no longer so."""
        async with self._engine.begin() as connection:
            await store.lock(connection)
            if await store.of_project(connection, author.project_id) != own:
                return None
            return [await self._inserted(connection, author, change) for change in changes]

    async def _inserted(
        self, connection: AsyncConnection, author: Author, change: Change
    ) -> Change:
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
    return Change(rule_id, before, replace(after, revision=0))


def _check_sizes(own: Collection[StoredRule]) -> None:
    if len(own) > MAX_RULES:
        raise TooLarge("TOO_MANY_RULES", f"a project has at most {MAX_RULES} rules of its own")
    size = _together(own)
    if size > MAX_TOGETHER_BYTES:
        raise TooLarge(
            "RULES_TOO_LARGE",
            f"the project's rules would have {size} bytes as JSON; the limit is"
            f" {MAX_TOGETHER_BYTES}",
            metadata={"limit": str(MAX_TOGETHER_BYTES), "size": str(size)},
        )


def _together(own: Iterable[StoredRule]) -> int:
    return sum(document_bytes(one.document or {}, f"rule '{one.id}'") for one in own)
