"""What rules found in the spans of the caller's project, and what people say of it."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import InvalidArgument, NotFound
from bartizan.server.rpc import admin_messages, trace_filters, trace_messages, trace_names
from bartizan.server.rpc.call import Principal
from bartizan.server.store import keys
from bartizan.server.store.clock import from_ns, to_ns
from bartizan.server.store.findings import FindingKey, FindingReader, Position, digest
from bartizan.server.store.paging import PageTokens, page_size
from bartizan.v1 import guardrail_pb2 as pb

DEFAULT_PAGE = 50
MAX_PAGE = 1_000
_ID = re.compile(r"f-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{8})")


class FindingId(NamedTuple):
    """What a finding is known by: f-{trace}-{span}-{digest}."""

    trace_id: UUID
    span_id: int
    digest: str

    @classmethod
    def of(cls, row: Row[Any]) -> "FindingId":
        """Returns the id of a finding."""
        return cls(row.trace_id, row.span_id, digest(row))

    @classmethod
    def parse(cls, name: str, principal: Principal) -> "FindingId":
        """Reads a name, or a bare id; raises InvalidArgument, NotFound."""
        project, _, bare = name.rpartition("/findings/")
        match = _ID.fullmatch(bare)
        if match is None:
            raise InvalidArgument(
                "BAD_NAME",
                "The name must look like organizations/ID/projects/ID/findings/ID.",
                field="name",
            )
        if project not in ("", principal.project_name):
            raise _not_found()
        span_id = int.from_bytes(bytes.fromhex(match[2]), "big", signed=True)
        return cls(UUID(match[1]), span_id, match[3])

    def __str__(self) -> str:
        span = self.span_id.to_bytes(8, "big", signed=True).hex()
        return f"f-{self.trace_id.hex}-{span}-{self.digest}"


class FindingAdmin:
    """What GuardrailService does about findings. A key reaches those of its own project."""

    def __init__(
        self, engine: AsyncEngine, tokens: PageTokens, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._tokens = tokens
        self._clock = clock

    async def list(
        self, request: pb.ListFindingsRequest, caller: Principal
    ) -> pb.ListFindingsResponse:
        """Returns a page of findings; raises InvalidArgument, NotFound, DeadlineExceeded."""
        trace_names.check_parent(request.parent, caller)
        wanted = trace_filters.findings(request.filter)
        exact = request.filter.SerializeToString(deterministic=True).hex()
        query = f"findings {caller.project_id} {exact}"
        after = self._place(query, request.page_token)
        limit = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        rows = await self._reader(caller).newest(wanted, after, limit + 1)
        page = rows[:limit]
        token = self._token(query, after, page) if len(rows) > limit else ""
        return pb.ListFindingsResponse(
            findings=[_message(caller, row) for row in page], next_page_token=token
        )

    async def label(
        self, request: pb.LabelFindingRequest, caller: Principal
    ) -> pb.LabelFindingResponse:
        """Says whether a finding is right; raises InvalidArgument, NotFound."""
        reader, wanted = self._reader(caller), FindingId.parse(request.name, caller)
        row = await _found(reader, wanted)
        if request.HasField("right"):
            async with self._engine.connect() as connection:
                key = await keys.get_by_id(connection, caller.key_id)
            author = admin_messages.api_key_name(key) if key else ""
            await reader.label(row, request.right, author, self._clock())
        else:
            await reader.unlabel(row)
        return pb.LabelFindingResponse(finding=_message(caller, await _found(reader, wanted)))

    def _reader(self, caller: Principal) -> FindingReader:
        return FindingReader(self._engine, caller.project_id)

    def _token(self, query: str, after: Position | None, page: Sequence[Row[Any]]) -> str:
        place = (after or Position(FindingKey.of(page[-1]), 0)).moved(page)
        told = [str(to_ns(place.key.start_time)), *map(str, place.key[1:]), str(place.told)]
        return self._tokens.seal(query, told)

    def _place(self, query: str, token: str) -> Position | None:
        if not token:
            return None
        start, trace_id, span_id, field, first, last, *names, told = self._tokens.open(query, token)
        offsets = int(first), int(last)
        key = FindingKey(from_ns(int(start)), UUID(trace_id), int(span_id), field, *offsets, *names)
        return Position(key, int(told))


async def _found(reader: FindingReader, wanted: FindingId) -> Row[Any]:
    for row in await reader.of_span(wanted.trace_id, wanted.span_id):
        if digest(row) == wanted.digest:
            return row
    raise _not_found()


def _message(caller: Principal, row: Row[Any]) -> pb.StoredFinding:
    label = None
    if row.is_right is not None:
        label = pb.FindingLabel(
            right=row.is_right, author=row.label_author, create_time=_time(row.label_time)
        )
    return pb.StoredFinding(
        name=f"{caller.project_name}/findings/{FindingId.of(row)}",
        trace_id=row.trace_id.hex,
        start_time=_time(row.start_time),
        finding=trace_messages.finding(row),
        label=label,
    )


def _time(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _not_found() -> NotFound:
    return NotFound("FINDING_NOT_FOUND", "There is no such finding.", field="name")
