"""The OpenTelemetry door: `TraceService/Export`, for OTLP over gRPC and over HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from google.protobuf.descriptor import ServiceDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bartizan.server.ingest import otlp
from bartizan.server.ingest.batch import Batch, Outcome, Refused
from bartizan.server.ingest.otlp_wire import SERVICE, loose
from bartizan.server.ingest.quota import Quotas
from bartizan.server.rpc.call import Call, Scope
from bartizan.v1 import trace_pb2

MAX_BATCH_SPANS = 10_000
SLICE_BYTES = 512 * 1024
"""About how much is turned between two looks at the event loop: a few milliseconds of work."""
NAMED_REFUSALS = 5
"""How many refused spans an answer names."""

_REASONS = {
    number: name.removeprefix("REJECT_REASON_") for name, number in trace_pb2.RejectReason.items()
}


@dataclass(slots=True)
class _Tally:
    """What became of the spans of one request."""

    spans: int = 0
    rejected: int = 0
    quarantined: int = 0
    named: list[Refused] = field(default_factory=list)

    def count(self, batch: Batch, outcome: Outcome) -> None:
        self.rejected += len(batch.refused)
        self.quarantined += outcome.quarantined
        self.named.extend(batch.refused[: NAMED_REFUSALS - len(self.named)])

    def response(self) -> ExportTraceServiceResponse:
        """Leaves `partial_success` unset on full success, as OTLP wants it."""
        response = ExportTraceServiceResponse()
        if self.rejected or self.quarantined:
            response.partial_success.rejected_spans = self.rejected
            response.partial_success.error_message = self._message()
        return response

    def _message(self) -> str:
        said = []
        if self.rejected:
            said.append(f"{self.rejected} of {self.spans} spans rejected")
        said += [_named(refused) for refused in self.named]
        if self.rejected > len(self.named):
            said.append(f"and {self.rejected - len(self.named)} more")
        if self.quarantined:
            said.append(f"{self.quarantined} set aside: the database refused their content")
        return "; ".join(said)


def _named(refused: Refused) -> str:
    reason = _REASONS.get(refused.reason, "UNSPECIFIED")
    return f"span {refused.index}: {refused.field} {refused.detail} ({reason})"


class OtlpTraceService:
    """Takes OTLP trace exports in; answers after the commit."""

    DESCRIPTOR: ClassVar[ServiceDescriptor] = SERVICE
    SCOPES: ClassVar[Mapping[str, int | None]] = {"Export": Scope.SCOPE_INGEST}

    def __init__(
        self,
        submit: Callable[[Batch], Awaitable[Outcome]],
        quotas: Quotas,
        clock_ns: Callable[[], int],
    ) -> None:
        """Makes the service; `submit` stores a batch and returns after its commit."""
        self._submit = submit
        self._quotas = quotas
        self._clock_ns = clock_ns

    async def Export(self, request: Any, call: Call) -> ExportTraceServiceResponse:
        """Stores the spans of one request.

        `request` may be an `ExportTraceServiceRequest` of either class (see `otlp_wire`). A large
        one is stored in several batches; when one of them fails the whole is to be sent again,
        which is harmless.

        Raises:
            InvalidArgument: the request holds logs or metrics.
            Overloaded: the queue or the project's quota is full.
            Unavailable: the database is away or the server stops.
        """
        request = loose(request)
        tally = _Tally(spans=_count(request))
        if not tally.spans:
            return ExportTraceServiceResponse()
        principal = call.principal
        self._quotas.demand(principal.project_id, tally.spans, principal.max_spans_per_second)
        async with aclosing(self._batches(request, call, tally.spans)) as batches:
            async for batch in batches:
                tally.count(batch, await self._submit(batch))
        return tally.response()

    async def _batches(self, request: Any, call: Call, spans: int) -> AsyncGenerator[Batch, None]:
        bytes_per_span = max(1, call.request_bytes // spans)
        slice_spans = max(1, min(otlp.SLICE, SLICE_BYTES // bytes_per_span))
        project_id = call.principal.project_id
        gathered = otlp.Converted([], [], [])
        is_first = True
        for part in otlp.slices(request, self._clock_ns(), slice_spans):
            if gathered.spans + part.spans > MAX_BATCH_SPANS:
                if is_first:
                    otlp.refuse_other_signals(request, gathered)
                is_first = False
                yield _batch(project_id, gathered)
                gathered = otlp.Converted([], [], [])
            gathered.extend(part)
            await asyncio.sleep(0)
        if is_first:
            otlp.refuse_other_signals(request, gathered)
        yield _batch(project_id, gathered)


def _batch(project_id: int, converted: otlp.Converted) -> Batch:
    return Batch(
        project_id,
        converted.records,
        converted.indexes,
        converted.refused,
    )


def _count(request: Any) -> int:
    return sum(
        len(scope_spans.spans)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
    )
