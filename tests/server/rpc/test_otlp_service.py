"""The OpenTelemetry door: what a request becomes, and what it is answered."""

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bartizan.plugins.errors import InvalidArgument, Overloaded, Unavailable
from bartizan.server.ingest import otlp_wire
from bartizan.server.ingest.batch import Batch, Outcome
from bartizan.server.ingest.quota import Quotas
from bartizan.server.rpc.call import Call, Principal
from bartizan.server.rpc.methods import methods_of
from bartizan.server.rpc.otlp import OtlpTraceService

START_NS = 1_790_000_000_000_000_000


class Store:
    """Takes batches and says that they are stored."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.quarantined = 0
        self.error: Exception | None = None

    async def submit(self, batch: Batch) -> Outcome:
        """Returns the outcome, or raises what the test wants."""
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        return Outcome(stored=len(batch.records), quarantined=self.quarantined)


def _service(store: Store) -> OtlpTraceService:
    return OtlpTraceService(store.submit, Quotas(lambda: START_NS), lambda: START_NS + 10)


def _call(request: Any, per_second: int = 0) -> Call:
    principal = Principal(1, 7, 1, "o", "p", frozenset({1}), max_spans_per_second=per_second)
    return Call("Export", principal, {}, request_bytes=request.ByteSize())


def _request(good: int, bad: int = 0) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(1, good + bad + 1):
        spans.add(
            trace_id=b"t" * 16 if number <= good else b"",
            span_id=number.to_bytes(8, "big"),
            start_time_unix_nano=START_NS,
            end_time_unix_nano=START_NS,
        )
    return request


async def _export(store: Store, request: Any, per_second: int = 0) -> Any:
    return await _service(store).Export(request, _call(request, per_second))


def test_the_request_of_the_contract_is_the_loose_one() -> None:
    (method,) = methods_of(_service(Store()))
    assert method.name == "opentelemetry.proto.collector.trace.v1.TraceService/Export"
    assert method.request is otlp_wire.Request


async def test_full_success_leaves_partial_success_unset() -> None:
    store = Store()
    response = await _export(store, otlp_wire.loose(_request(3)))
    assert not response.HasField("partial_success")
    (batch,) = store.batches
    assert (batch.project_id, len(batch.records), batch.indexes) == (7, 3, [0, 1, 2])


async def test_an_empty_request_does_not_touch_the_database() -> None:
    store = Store()
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add()
    assert not (await _export(store, request)).HasField("partial_success")
    assert store.batches == []


async def test_refused_spans_are_named_up_to_a_point() -> None:
    response = await _export(Store(), _request(1, 7))
    partial = response.partial_success
    assert partial.rejected_spans == 7
    assert partial.error_message == "; ".join(
        [
            "7 of 8 spans rejected",
            *(f"span {number}: trace_id is required (MISSING)" for number in range(1, 6)),
            "and 2 more",
        ]
    )


async def test_refused_spans_alone_reach_the_ledger() -> None:
    store = Store()
    response = await _export(store, _request(0, 2))
    assert response.partial_success.rejected_spans == 2
    assert [(len(b.records), len(b.refused)) for b in store.batches] == [(0, 2)]


async def test_spans_set_aside_are_a_warning() -> None:
    store = Store()
    store.quarantined = 1
    partial = (await _export(store, _request(2))).partial_success
    assert partial.rejected_spans == 0
    assert "1 set aside" in partial.error_message


async def test_a_large_request_is_stored_in_batches() -> None:
    store = Store()
    response = await _export(store, _request(20_100, 50))
    assert response.partial_success.rejected_spans == 50
    sizes = [len(batch.records) + len(batch.refused) for batch in store.batches]
    assert max(sizes) <= 10_000
    assert sum(sizes) == 20_150
    indexes = [index for batch in store.batches for index in batch.indexes]
    assert indexes == list(range(20_100))


async def test_logs_are_refused_and_nothing_is_stored() -> None:
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=START_NS)
    store = Store()
    with pytest.raises(InvalidArgument, match="export of logs"):
        await _export(store, otlp_wire.parse(logs.SerializeToString()))
    assert store.batches == []


async def test_errors_of_the_store_reach_the_caller() -> None:
    store = Store()
    store.error = Unavailable("DATABASE_DOWN", "The database is away.")
    with pytest.raises(Unavailable):
        await _export(store, _request(1))


async def test_a_project_in_debt_is_asked_to_wait() -> None:
    store = Store()
    service = _service(store)
    request = _request(5)
    await service.Export(request, _call(request, per_second=1))
    with pytest.raises(Overloaded):
        await service.Export(request, _call(request, per_second=1))


def test_a_body_that_is_no_export_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        otlp_wire.parse(b"\xff\xff\xff")
