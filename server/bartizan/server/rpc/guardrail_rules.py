"""The rules of the caller's project: read, written, applied and tried."""

import re
from collections.abc import Callable

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    TooLarge,
)
from bartizan.plugins.pseudonyms import Pseudonyms
from bartizan.plugins.rules import VERSION_DIGITS
from bartizan.server.checking.rules import seconds_for_rules
from bartizan.server.checking.texts import check_texts
from bartizan.server.rpc import admin_messages, check_messages, rule_messages, trace_names
from bartizan.server.rpc.admin_pages import Page
from bartizan.server.rpc.call import Call, Principal
from bartizan.server.rpc.names import GuardrailRuleName
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.keeping import MAX_RULES, Author, RuleKeeper, rule_not_found
from bartizan.server.rules.probing import PROBE_SECONDS, trial, warned
from bartizan.server.rules.reading import parse_rule
from bartizan.server.store import guardrail_rules as store
from bartizan.server.store import keys
from bartizan.server.store.paging import PageTokens
from bartizan.v1 import guardrail_pb2 as pb

log = structlog.get_logger(__name__)

MAX_TOKENS = 100
WRITABLE = {"*", "document"}
_VERSION = re.compile(f"[0-9a-f]{{{VERSION_DIGITS}}}")


class RuleAdmin:
    """What GuardrailService does about rules. A key reaches the rules of its own project."""

    def __init__(
        self, engine: AsyncEngine, book: RuleBook, keeper: RuleKeeper, tokens: PageTokens
    ) -> None:
        self._engine = engine
        self._book = book
        self._keeper = keeper
        self._tokens = tokens

    async def list(self, request: pb.ListRulesRequest, caller: Principal) -> pb.ListRulesResponse:
        """Returns the rules of the project and of the server; raises NotFound."""
        trace_names.check_parent(request.parent, caller)
        problems = self._book.problems(caller.project_id)
        own = await self._keeper.own(caller.project_id)
        found = {
            rule.id: rule_messages.house(caller, rule, problems.get(rule.id, ""))
            for rule in self._book.house.rules
        }
        for rule_id, one in own.items():
            found[rule_id] = rule_messages.own(caller, one, problems.get(rule_id, ""))
        return pb.ListRulesResponse(rules=[found[rule_id] for rule_id in sorted(found)])

    async def get(self, request: pb.GetRuleRequest, caller: Principal) -> pb.GetRuleResponse:
        """Returns a rule; raises InvalidArgument, NotFound."""
        rule_id = _read_name(request.name, caller)
        async with self._engine.connect() as connection:
            if request.version:
                _check_version(request.version)
                one = await store.of_version(
                    connection, caller.project_id, rule_id, request.version
                )
            else:
                one = (await store.of_project(connection, caller.project_id)).get(rule_id)
        problem = self._book.problems(caller.project_id).get(rule_id, "")
        if one is not None:
            return pb.GetRuleResponse(rule=rule_messages.own(caller, one, problem))
        house = self._book.house.rules.by_id.get(rule_id)
        if house is None or request.version not in ("", house.version):
            raise rule_not_found()
        return pb.GetRuleResponse(rule=rule_messages.house(caller, house, problem))

    async def versions(
        self, request: pb.ListRuleVersionsRequest, caller: Principal
    ) -> pb.ListRuleVersionsResponse:
        """Returns a page of what a rule was; raises InvalidArgument, NotFound."""
        rule_id = _read_name(request.parent, caller, "parent")
        page = Page[StoredRule](
            self._tokens,
            f"versions of {rule_id} of {caller.project_id}",
            request,
            lambda one: [str(one.revision)],
        )
        before = int(page.position[0]) if page.position else None
        async with self._engine.connect() as connection:
            rows = await store.history(connection, caller.project_id, rule_id, page.limit, before)
        if not rows and before is None and rule_id not in self._book.house.rules.by_id:
            raise rule_not_found()
        items, token = page.cut(rows)
        rules = [rule_messages.own(caller, one) for one in items]
        return pb.ListRuleVersionsResponse(rules=rules, next_page_token=token)

    async def create(
        self, request: pb.CreateRuleRequest, caller: Principal
    ) -> pb.CreateRuleResponse:
        """Makes a rule; raises InvalidArgument, ConfigError, NotFound, AlreadyExists."""
        trace_names.check_parent(request.parent, caller)

        def may(before: StoredRule | None) -> None:
            if before is not None:
                raise AlreadyExists("RULE_EXISTS", "The project has a rule of that id.")

        document = rule_messages.document(request.rule.document)
        author = await self._author(caller)
        change = await self._keeper.write(author, document, may=may, dry=request.validate_only)
        return pb.CreateRuleResponse(rule=_after(caller, change.after))

    async def update(
        self, request: pb.UpdateRuleRequest, caller: Principal
    ) -> pb.UpdateRuleResponse:
        """Replaces a rule; raises InvalidArgument, ConfigError, NotFound, Aborted."""
        rule_id = _read_name(request.rule.name, caller, "rule.name")
        document = {"id": rule_id, **rule_messages.document(request.rule.document)}
        if not WRITABLE.issuperset(request.update_mask.paths):
            raise InvalidArgument(
                "BAD_UPDATE_MASK", "update_mask may name document, or be *", field="update_mask"
            )
        if document["id"] != rule_id:
            raise InvalidArgument(
                "BAD_ID", "the id in the document is not the one in the name", field="rule.document"
            )
        may = _may_change(request.rule.etag, allow_missing=request.allow_missing)
        author = await self._author(caller)
        change = await self._keeper.write(author, document, may=may, dry=request.validate_only)
        return pb.UpdateRuleResponse(rule=_after(caller, change.after))

    async def delete(
        self, request: pb.DeleteRuleRequest, caller: Principal
    ) -> pb.DeleteRuleResponse:
        """Ends a rule; raises InvalidArgument, NotFound, Aborted, FailedPrecondition."""
        rule_id = _read_name(request.name, caller)
        may_change = _may_change(request.etag, allow_missing=True)

        def may(before: StoredRule | None) -> None:
            if before is None and rule_id in self._book.house.rules.by_id:
                raise FailedPrecondition(
                    "SERVER_RULE",
                    "The rule is the server's own: it can be paused in a project, not deleted.",
                )
            may_change(before)

        await self._keeper.delete(await self._author(caller), rule_id, may)
        return pb.DeleteRuleResponse()

    async def pause(self, request: pb.PauseRuleRequest, caller: Principal) -> pb.PauseRuleResponse:
        """Stops a rule or lets it go on; raises InvalidArgument, NotFound, ConfigError."""
        rule_id = _read_name(request.name, caller)
        author = await self._author(caller)
        own = await self._keeper.pause(author, rule_id, paused=request.paused)
        problem = self._book.problems(caller.project_id).get(rule_id, "")
        if own is not None:
            return pb.PauseRuleResponse(rule=rule_messages.own(caller, own, problem))
        house = self._book.house.rules.by_id.get(rule_id)
        if house is None:
            raise rule_not_found()
        return pb.PauseRuleResponse(rule=rule_messages.house(caller, house, problem))

    async def apply(
        self, request: pb.ApplyRulesRequest, caller: Principal
    ) -> pb.ApplyRulesResponse:
        """Makes the project's rules those of the documents; raises ConfigError, Aborted."""
        trace_names.check_parent(request.parent, caller)
        if len(request.documents) > MAX_RULES:
            raise TooLarge(
                "TOO_MANY_RULES",
                f"A request has {len(request.documents)} documents; the limit is {MAX_RULES}.",
                field="documents",
            )
        changes, state = await self._keeper.apply(
            await self._author(caller),
            [rule_messages.document(one) for one in request.documents],
            prune=request.prune,
            expected_state=request.expected_state,
            dry=request.validate_only,
        )
        house = self._book.house.rules.by_id
        told = [rule_messages.change(caller, change, house) for change in changes]
        return pb.ApplyRulesResponse(changes=told, state=state)

    async def test(self, request: pb.TestRuleRequest, call: Call) -> pb.TestRuleResponse:
        """Judges texts with a rule; raises InvalidArgument, ConfigError, NotFound."""
        caller = call.principal
        trace_names.check_parent(request.parent, caller)
        rule = parse_rule(rule_messages.document(request.document), "document")
        others = self._book.now(caller.project_id).rules
        inquiry = check_messages.inquiry(request.context, [rule.id])
        asked = list(check_messages.texts(request.messages, request.context.trace_id))
        async with trial(rule, others, self._book) as live:
            checked = await check_texts(live, [text for _, text in asked], inquiry, call.time_left)
            left = seconds_for_rules(call.time_left())
            seconds = PROBE_SECONDS if left is None else min(PROBE_SECONDS, left)
            warnings = await warned(rule, live, seconds)
        told = check_messages.checked(checked, [place for place, _ in asked], request.messages)
        return pb.TestRuleResponse(
            messages=told.messages, run=told.rules[0] if told.rules else None, warnings=warnings
        )

    def reveal(
        self, request: pb.RevealPseudonymsRequest, caller: Principal
    ) -> pb.RevealPseudonymsResponse:
        """Turns pseudonyms back; raises NotFound, TooLarge, FailedPrecondition without a vault."""
        trace_names.check_parent(request.parent, caller)
        if len(request.tokens) > MAX_TOKENS:
            raise TooLarge(
                "TOO_MANY_TOKENS",
                f"A request has {len(request.tokens)} tokens; the limit is {MAX_TOKENS}.",
                field="tokens",
            )
        vault = self._book.vault(caller.project_id)
        if vault is None:
            raise FailedPrecondition("NO_VAULT", "This server has no key of a vault.")
        log.info("pseudonyms were revealed", key=caller.key_id, tokens=len(request.tokens))
        revealed = [_revealed(vault, token) for token in request.tokens]
        return pb.RevealPseudonymsResponse(pseudonyms=revealed)

    async def _author(self, caller: Principal) -> Author:
        async with self._engine.connect() as connection:
            key = await keys.get_by_id(connection, caller.key_id)
        return Author(caller.project_id, admin_messages.api_key_name(key) if key else "")


def _after(caller: Principal, after: StoredRule | None) -> pb.GuardrailRule:
    assert after is not None
    return rule_messages.own(caller, after)


def _read_name(name: str, caller: Principal, field: str = "name") -> str:
    """Reads the name of a rule, or its bare id; raises InvalidArgument, NotFound."""
    if "/" not in name:
        name = rule_messages.rule_name(caller, name)
    read = GuardrailRuleName.parse(name, field)
    if str(read.parent) != caller.project_name:
        raise rule_not_found()
    return read.rule


def _check_version(version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise InvalidArgument(
            "BAD_VERSION", f"a version has {VERSION_DIGITS} hexadecimal digits", field="version"
        )


def _may_change(etag: str, *, allow_missing: bool) -> Callable[[StoredRule | None], None]:
    def may(before: StoredRule | None) -> None:
        if before is None and not allow_missing:
            raise rule_not_found()
        if etag and (before is None or rule_messages.etag(before) != etag):
            raise Aborted("RULE_CHANGED", "Somebody changed the rule in between; look again.")

    return may


def _revealed(vault: Pseudonyms, token: str) -> pb.RevealedPseudonym:
    try:
        return pb.RevealedPseudonym(token=token, text=vault.reveal(token), readable=True)
    except InvalidArgument:
        return pb.RevealedPseudonym(token=token)
