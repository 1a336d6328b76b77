"""More than the server can hold is refused, or slowed down, out loud."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.serving import NO_RULES, Serving
from tests.support.spans import make_batches, make_span

from bartizan.client import Bartizan, ResourceExhausted
from bartizan.v1 import trace_pb2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Serving]:
    """A server whose queue holds one mebibyte."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(NO_RULES)
    small = {"BARTIZAN_LIMITS__QUEUE_BYTES": "1MiB", "BARTIZAN_LIMITS__GROUP_SPANS": "1"}
    with Serving(tmp_path / "data", ["--rules", str(rules)], small) as serving:
        yield serving


def test_stream_over_the_queue_is_throttled_and_everything_is_stored(small: Serving) -> None:
    text = "x" * 20_000
    batches = make_batches(random.Random(6), 40)
    with Bartizan(api_key=small.key, endpoint=small.grpc) as client:
        streams = [client.stream() for _ in range(4)]
        tickets = []
        for _ in range(10):
            for stream in streams:
                batch = next(batches)
                for span in batch:
                    span.input[0].content = text
                tickets.append(stream.send(batch))
        acks = [ticket.result(60) for ticket in tickets]
        for stream in streams:
            stream.close(60)
    assert sum(ack.stored for ack in acks) == 1600


def test_quota_refuses_with_a_delay(small: Serving) -> None:
    batches = make_batches(random.Random(7), 50)
    with Bartizan(api_key=small.key, endpoint=small.grpc, max_attempts=1) as client:
        project = client.admin.list_projects()
        first = next(iter(project))
        first.max_spans_per_second = 10
        client.admin.update_project(first, ["max_spans_per_second"])
        with pytest.raises(ResourceExhausted) as refusal:
            for _ in range(10):
                client.export(next(batches))
    assert refusal.value.reason == "QUOTA_EXCEEDED"
    assert refusal.value.retryable
    assert refusal.value.retry_delay_s


def test_huge_batch_is_refused_with_its_limit(small: Serving) -> None:
    span = make_span(random.Random(8))
    with Bartizan(api_key=small.key, endpoint=small.grpc, max_attempts=1) as client:
        request = trace_pb2.ExportTracesRequest(spans=[span] * 10_001)
        with pytest.raises(ResourceExhausted) as refusal:
            client.call("bartizan.v1.IngestService/ExportTraces", request.SerializeToString())
    assert refusal.value.reason == "BATCH_TOO_LARGE"
    assert not refusal.value.retryable
    assert refusal.value.metadata["limit"] == "10000"
