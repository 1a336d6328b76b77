"""Verdicts before acting: the rules that judge stored traces, asked for texts that are not."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import ClassVar

from bartizan.plugins.contract import Role
from bartizan.plugins.errors import InvalidArgument, TooLarge
from bartizan.server.checking.room import Room
from bartizan.server.checking.rules import Rules
from bartizan.server.checking.stream import Released, StreamedText
from bartizan.server.checking.texts import check_texts
from bartizan.server.ingest.quota import Quotas
from bartizan.server.rpc import check_messages
from bartizan.server.rpc.call import Call, Principal, Scope
from bartizan.server.rpc.guardrail_backtest import Backtests
from bartizan.server.rpc.guardrail_findings import FindingAdmin
from bartizan.server.rpc.guardrail_rules import RuleAdmin
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

MAX_MESSAGES = 1_024
MAX_TEXT_BYTES = 1024 * 1024
MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Requests at once in one process, from their arrival to their answer."""
MAX_STREAMS = 2_000
"""At once in one process. One may hold some 100 KB, at the worst."""
MAX_STREAM_CHARACTERS = 16 * 1024 * 1024
MIN_HOLD_BACK = 32
MAX_HOLD_BACK = 4_096
DEFAULT_HOLD_BACK = 128

Request = pb.CheckStreamRequest
Response = pb.CheckStreamResponse


class GuardrailService:
    """Judges what it is sent, and stores nothing."""

    DESCRIPTOR: ClassVar = pb.DESCRIPTOR.services_by_name["GuardrailService"]
    SCOPES: ClassVar[Mapping[str, int | None]] = {
        **{method.name: Scope.SCOPE_RULES for method in DESCRIPTOR.methods},
        **dict.fromkeys(("Check", "CheckStream"), Scope.SCOPE_CHECK),
        "RevealPseudonyms": Scope.SCOPE_REVEAL,
        **dict.fromkeys(
            ("ListRules", "GetRule", "ListRuleVersions", "ListFindings"), Scope.SCOPE_READ
        ),
    }

    def __init__(
        self,
        rules: Callable[[int], Rules],
        quotas: Quotas,
        admin: RuleAdmin,
        findings: FindingAdmin,
        backtests: Backtests,
        *,
        check_key: Callable[[Principal], None],
    ) -> None:
        """Makes the service.

        Args:
            rules: returns the rules of a project by its number.
            check_key: raises Unauthenticated once a principal's key has ended; asked for each chunk
                of a stream, which may outlive its key.
        """
        self._rules = rules
        self._quotas = quotas
        self._admin = admin
        self._findings = findings
        self._backtests = backtests
        self._check_key = check_key
        self._waiting = Room(MAX_WAITING_BYTES, "server.check_bytes")
        self._streams = Room(MAX_STREAMS, "server.check_streams")

    async def Check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """Judges messages; a call counts as one span in the quota, as its messages would be."""
        _check_sizes(request.messages, call.request_bytes)
        inquiry = check_messages.inquiry(request.context, request.rules)
        asked = list(check_messages.texts(request.messages, request.context.trace_id))
        with self._waiting.taken(call.request_bytes):
            self._demand(call)
            texts = [text for _, text in asked]
            checked = await check_texts(
                self._rules(call.principal.project_id), texts, inquiry, call.time_left
            )
        return check_messages.checked(checked, [place for place, _ in asked], request.messages)

    async def CheckStream(
        self, requests: AsyncIterator[Request], call: Call
    ) -> AsyncGenerator[Response, None]:
        """Judges one text while it is written; a stream counts as one span in the quota."""
        with self._streams.taken(1):
            streamed = self._opened(await anext(requests, Request()), call)
            self._demand(call)
            async with aclosing(self._judged(requests, streamed, call)) as released:
                async for part in released:
                    yield part
            yield Response(end=check_messages.ended(streamed))

    async def ListRules(self, request: pb.ListRulesRequest, call: Call) -> pb.ListRulesResponse:
        """Lists rules."""
        return await self._admin.list(request, call.principal)

    async def GetRule(self, request: pb.GetRuleRequest, call: Call) -> pb.GetRuleResponse:
        """Shows one rule."""
        return await self._admin.get(request, call.principal)

    async def ListRuleVersions(
        self, request: pb.ListRuleVersionsRequest, call: Call
    ) -> pb.ListRuleVersionsResponse:
        """Lists what a rule was."""
        return await self._admin.versions(request, call.principal)

    async def CreateRule(self, request: pb.CreateRuleRequest, call: Call) -> pb.CreateRuleResponse:
        """Makes a rule."""
        return await self._admin.create(request, call.principal)

    async def UpdateRule(self, request: pb.UpdateRuleRequest, call: Call) -> pb.UpdateRuleResponse:
        """Replaces a rule."""
        return await self._admin.update(request, call.principal)

    async def DeleteRule(self, request: pb.DeleteRuleRequest, call: Call) -> pb.DeleteRuleResponse:
        """Ends a rule."""
        return await self._admin.delete(request, call.principal)

    async def PauseRule(self, request: pb.PauseRuleRequest, call: Call) -> pb.PauseRuleResponse:
        """Stops a rule, or lets it go on."""
        return await self._admin.pause(request, call.principal)

    async def ApplyRules(self, request: pb.ApplyRulesRequest, call: Call) -> pb.ApplyRulesResponse:
        """Makes the rules those of some documents."""
        return await self._admin.apply(request, call.principal)

    async def TestRule(self, request: pb.TestRuleRequest, call: Call) -> pb.TestRuleResponse:
        """Judges texts with a rule that is not in force."""
        _check_sizes(request.messages, call.request_bytes)
        with self._waiting.taken(call.request_bytes):
            self._demand(call)
            return await self._admin.test(request, call)

    async def BacktestRule(
        self, request: pb.BacktestRuleRequest, call: Call
    ) -> AsyncGenerator[pb.BacktestRuleResponse, None]:
        """Runs a rule over stored spans."""
        async with aclosing(self._backtests.run(request, call)) as states:
            async for state in states:
                yield state

    async def ListFindings(
        self, request: pb.ListFindingsRequest, call: Call
    ) -> pb.ListFindingsResponse:
        """Lists what rules found."""
        return await self._findings.list(request, call.principal)

    async def LabelFinding(
        self, request: pb.LabelFindingRequest, call: Call
    ) -> pb.LabelFindingResponse:
        """Says whether a finding is right."""
        return await self._findings.label(request, call.principal)

    async def RevealPseudonyms(
        self, request: pb.RevealPseudonymsRequest, call: Call
    ) -> pb.RevealPseudonymsResponse:
        """Turns pseudonyms back."""
        return self._admin.reveal(request, call.principal)

    async def _judged(
        self, requests: AsyncIterator[Request], streamed: StreamedText, call: Call
    ) -> AsyncGenerator[Response, None]:
        async for request in requests:
            chunk = _chunk(request, streamed.characters)
            self._check_key(call.principal)
            async with aclosing(streamed.add(chunk)) as parts:
                async for part in parts:
                    if part.text or part.said:
                        yield _response(part)
            if streamed.denied:
                return
        yield _response(await streamed.finish())

    def _opened(self, request: Request, call: Call) -> StreamedText:
        if request.WhichOneof("message") != "open":
            raise InvalidArgument("NOT_OPEN", "The first message must be open.", field="open")
        opening = request.open
        hold_back = opening.hold_back or DEFAULT_HOLD_BACK
        if not MIN_HOLD_BACK <= hold_back <= MAX_HOLD_BACK:
            raise InvalidArgument(
                "BAD_FIELD",
                f"hold_back must be from {MIN_HOLD_BACK} to {MAX_HOLD_BACK}, or 0",
                field="open.hold_back",
            )
        role = check_messages.role(opening.role, Role.ASSISTANT, "open.role")
        inquiry = check_messages.inquiry(opening.context, opening.rules)
        rules = self._rules(call.principal.project_id)
        return StreamedText(rules, role, inquiry, hold_back, call.time_left)

    def _demand(self, call: Call) -> None:
        principal = call.principal
        self._quotas.demand(principal.project_id, 1, principal.max_spans_per_second)


def _response(part: Released) -> Response:
    return Response(text=part.text, findings=check_messages.findings(part.said))


def _chunk(request: Request, before: int) -> str:
    if request.WhichOneof("message") != "chunk":
        raise InvalidArgument("NOT_A_CHUNK", "Only chunks may follow open.", field="chunk")
    chunk = request.chunk
    _check_size(len(chunk.encode()), MAX_TEXT_BYTES, "chunk", "bytes")
    _check_size(before + len(chunk), MAX_STREAM_CHARACTERS, "chunk", "characters in its stream")
    return chunk


def _check_sizes(messages: Sequence[common_pb2.Message], request_bytes: int) -> None:
    if not messages:
        raise InvalidArgument("MISSING", "messages is required", field="messages")
    _check_size(len(messages), MAX_MESSAGES, "messages", "entries")
    _check_size(request_bytes, MAX_REQUEST_BYTES, "messages", "bytes together")
    for index, message in enumerate(messages):
        size = message.ByteSize()
        _check_size(size, MAX_TEXT_BYTES, f"messages[{index}]", "bytes")


def _check_size(size: int, limit: int, field: str, unit: str) -> None:
    if size > limit:
        raise TooLarge(
            "TEXT_TOO_LARGE",
            f"{field} has {size} {unit}; the limit is {limit}.",
            field=field,
            metadata={"limit": str(limit), "size": str(size)},
        )
