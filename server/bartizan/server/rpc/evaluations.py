"""Feedback on traces and sessions: taken in, and read back."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import Overloaded, TooLarge
from bartizan.server.ingest import feedback as ingest
from bartizan.server.ingest.feedback import Rules
from bartizan.server.ingest.quota import Quotas
from bartizan.server.metrics import Metrics
from bartizan.server.rpc import feedback_messages, trace_filters, trace_names
from bartizan.server.rpc.call import Call, Scope
from bartizan.server.store import feedback as stored
from bartizan.server.store.clock import from_ns, to_ns
from bartizan.server.store.feedback import FeedbackKey, FeedbackReader
from bartizan.server.store.paging import PageTokens, page_size
from bartizan.v1 import evaluation_pb2

MAX_ITEMS = 1_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Requests at once in one process, from their arrival to their commit."""
MAX_WRITES = 4
"""Transactions at once, so that feedback leaves connections of the pool to readers."""
RETRY_DELAY_S = 1.0
DEFAULT_PAGE = 50
MAX_PAGE = 1_000


class EvaluationService:
    """Takes feedback in and answers after the commit; shows a caller its own project's only."""

    DESCRIPTOR: ClassVar = evaluation_pb2.DESCRIPTOR.services_by_name["EvaluationService"]
    SCOPES: ClassVar[Mapping[str, int | None]] = {
        "RecordFeedback": Scope.SCOPE_INGEST,
        "ListFeedback": Scope.SCOPE_READ,
    }

    def __init__(
        self,
        engine: AsyncEngine,
        rules: Callable[[int], Rules],
        quotas: Quotas,
        tokens: PageTokens,
        metrics: Metrics,
        clock_ns: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._quotas = quotas
        self._tokens = tokens
        self._metrics = metrics
        self._clock_ns = clock_ns
        self._waiting_bytes = 0
        self._writes = asyncio.Semaphore(MAX_WRITES)

    async def RecordFeedback(
        self, request: evaluation_pb2.RecordFeedbackRequest, call: Call
    ) -> evaluation_pb2.RecordFeedbackResponse:
        """Stores the valid items of one request; an item counts as a span in the quota."""
        principal, items = call.principal, request.feedback
        _check_count(len(items))
        with self._admitted(call.request_bytes):
            project_id = principal.project_id
            self._quotas.demand(project_id, len(items), principal.max_spans_per_second)
            records, refused = ingest.convert(items, self._clock_ns())
            judged = await ingest.judge(self._rules(project_id), records)
            async with self._writes:
                new = await stored.store(self._engine, project_id, judged)
        response = feedback_messages.recorded(new, len(judged) - new, refused)
        self._count(response)
        return response

    async def ListFeedback(
        self, request: evaluation_pb2.ListFeedbackRequest, call: Call
    ) -> evaluation_pb2.ListFeedbackResponse:
        """Returns a page of feedback, newest first."""
        trace_names.check_parent(request.parent, call.principal)
        wanted = trace_filters.feedback(request.filter)
        exact = request.filter.SerializeToString(deterministic=True).hex()
        query = f"{call.method} {call.principal.project_id} {exact}"
        after = self._place(query, request.page_token)
        limit = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        reader = FeedbackReader(self._engine, call.principal.project_id)
        rows = await reader.newest(wanted, after, limit + 1)
        page = rows[:limit]
        token = ""
        if len(rows) > limit:
            last = (str(to_ns(page[-1].create_time)), page[-1].feedback_id.hex)
            token = self._tokens.seal(query, last)
        return evaluation_pb2.ListFeedbackResponse(
            feedback=map(feedback_messages.feedback, page), next_page_token=token
        )

    @contextmanager
    def _admitted(self, size: int) -> Iterator[None]:
        """Makes room for a request of so many bytes while entered; raises Overloaded."""
        # One that alone is over the limit is let in when nothing else waits.
        if self._waiting_bytes and self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise Overloaded(
                "QUEUE_FULL",
                "The server's queue is full; send again later.",
                retry_delay_s=RETRY_DELAY_S,
                metadata={"limit": "server.feedback"},
            )
        self._waiting_bytes += size
        try:
            yield
        finally:
            self._waiting_bytes -= size

    def _place(self, query: str, token: str) -> FeedbackKey | None:
        if not token:
            return None
        create_ns, feedback_id = self._tokens.open(query, token)
        return FeedbackKey(from_ns(int(create_ns)), UUID(feedback_id))

    def _count(self, response: evaluation_pb2.RecordFeedbackResponse) -> None:
        count = self._metrics.feedback.labels
        count("stored").inc(response.stored)
        count("duplicate").inc(response.duplicate)
        count("rejected").inc(len(response.rejected))


def _check_count(items: int) -> None:
    if items > MAX_ITEMS:
        raise TooLarge(
            "BATCH_TOO_LARGE",
            f"A request has {items} items of feedback; the limit is {MAX_ITEMS}.",
            field="feedback",
            metadata={"limit": str(MAX_ITEMS), "size": str(items)},
        )
