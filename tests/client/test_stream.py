"""A stream goes on where it was, whatever happens to its connections."""

import threading
from concurrent.futures import Future

import grpc
import pytest
from tests.client.fake_ingest import FakeIngest, Plan

from bartizan.client import (
    Bartizan,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    Limits,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from bartizan.v1 import common_pb2, trace_pb2

Ticket = Future[trace_pb2.Ack]
WAIT_S = 20


def spans(number: int, count: int = 2) -> list[common_pb2.Span]:
    return [
        common_pb2.Span(trace_id=f"{number:032x}", span_id=f"{index + 1:016x}")
        for index in range(count)
    ]


def counts(ticket: Ticket) -> tuple[int, int, int]:
    ack = ticket.result(WAIT_S)
    return ack.seq, ack.stored, ack.duplicate


def test_batches_are_acked_in_order_and_summed_up(client: Bartizan, ingest: FakeIngest) -> None:
    with client.stream(want_verdicts=True) as stream:
        tickets = [stream.send(spans(number)) for number in range(1, 21)]
        stream.flush()
        assert [counts(ticket) for ticket in tickets] == [(seq, 2, 0) for seq in range(1, 21)]
        totals = stream.close()
    assert (totals.last_committed_seq, totals.batches, totals.stored) == (20, 20, 40)
    assert ingest.connections[0].seqs == list(range(1, 21))
    assert ingest.connections[0].want_verdicts


def test_rejected_spans_are_told_and_counted(client: Bartizan) -> None:
    with client.stream() as stream:
        ack = stream.send([*spans(1), common_pb2.Span()]).result(WAIT_S)
    assert [(refused.index, refused.field) for refused in ack.rejected] == [(2, "trace_id")]
    assert (stream.totals.stored, stream.totals.rejected) == (2, 1)


def test_acks_yields_one_ack_a_batch_in_order(client: Bartizan) -> None:
    with client.stream(limits=Limits(batches=3)) as stream:
        seqs = [ack.seq for ack in stream.acks(spans(number) for number in range(1, 31))]
    assert seqs == list(range(1, 31))


def test_unacked_batches_are_sent_again_with_their_seqs(
    client: Bartizan, ingest: FakeIngest, waits: list[float]
) -> None:
    ingest.plans.extend([Plan(acks=2), Plan(acks=1), Plan()])
    with client.stream("resumed") as stream:
        tickets = [stream.send(spans(number)) for number in range(1, 7)]
        assert [counts(ticket) for ticket in tickets] == [(seq, 2, 0) for seq in range(1, 7)]
    assert [one.last_committed_seq for one in ingest.connections] == [0, 2, 3]
    assert [one.seqs for one in ingest.connections] == [[1, 2], [3], [4, 5, 6]]
    assert len(ingest.spans) == 12
    assert waits == [1.0, 1.0]


def test_what_was_committed_without_an_ack_is_settled_and_not_sent_again(
    client: Bartizan, ingest: FakeIngest
) -> None:
    ingest.plans.append(Plan(acks=1, lost_acks=2))
    with client.stream("lost") as stream:
        tickets = [stream.send(spans(number)) for number in range(1, 6)]
        assert [counts(ticket) for ticket in tickets] == [
            (1, 2, 0), (2, 0, 2), (3, 0, 2), (4, 2, 0), (5, 2, 0),
        ]  # fmt: skip
    assert [one.seqs for one in ingest.connections] == [[1, 2, 3], [4, 5]]
    assert stream.totals.last_committed_seq == 5


def test_waits_longer_each_time_and_starts_over_after_an_ack(
    client: Bartizan, ingest: FakeIngest, waits: list[float]
) -> None:
    away = Plan(refuse=(grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY", None))
    full = Plan(refuse=(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 3.0))
    ingest.plans.extend([*[away] * 5, full, Plan(acks=1), away])
    with client.stream() as stream:
        tickets = [stream.send(spans(number)) for number in (1, 2)]
        assert [counts(ticket) for ticket in tickets] == [(1, 2, 0), (2, 2, 0)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 3.0 + 8.0, 1.0, 2.0]


def test_a_stream_id_can_be_taken_up_by_another_process(
    client: Bartizan, ingest: FakeIngest
) -> None:
    ingest.committed["night-job"] = 17
    with client.stream("night-job") as stream:
        assert counts(stream.send(spans(1))) == (18, 2, 0)


def test_waits_as_long_as_a_throttle_asks(
    client: Bartizan, ingest: FakeIngest, waits: list[float]
) -> None:
    ingest.plans.append(Plan(throttle_s=2.5, window=1))
    with client.stream() as stream:
        for number in (1, 2, 3):
            stream.send(spans(number))
    assert waits == [2.5]


def test_an_end_without_a_summary_is_a_broken_connection(
    client: Bartizan, ingest: FakeIngest
) -> None:
    ingest.plans.append(Plan(acks=1, quiet_end=True))
    with client.stream() as stream:
        tickets = [stream.send(spans(number)) for number in (1, 2)]
        assert [counts(ticket)[0] for ticket in tickets] == [1, 2]
    assert len(ingest.connections) == 2


def test_sends_no_more_than_the_server_lets_wait(client: Bartizan, ingest: FakeIngest) -> None:
    ingest.plans.extend([Plan(acks=0, lost_acks=3, window=3)])
    with client.stream() as stream:
        for number in range(1, 10):
            stream.send(spans(number))
    assert ingest.connections[0].seqs == [1, 2, 3]
    assert ingest.connections[1].seqs == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ResourceExhausted),
    ],
)
def test_what_time_does_not_heal_fails_every_ticket(
    client: Bartizan,
    ingest: FakeIngest,
    waits: list[float],
    code: grpc.StatusCode,
    error: type[Exception],
) -> None:
    ingest.plans.extend([Plan(acks=1), Plan(refuse=(code, "NO", None))])
    stream = client.stream()
    first = stream.send(spans(1))
    assert counts(first) == (1, 2, 0)
    with pytest.raises(error):
        stream.send(spans(2)).result(WAIT_S)
    with pytest.raises(error):
        stream.send(spans(3))
    with pytest.raises(error):
        stream.close()
    assert len(waits) == 1


def test_a_wrong_key_is_told_even_when_nothing_was_sent(endpoint: str) -> None:
    with Bartizan("btz_wrong", endpoint) as client:
        stream = client.stream()
        stream._worker.join(WAIT_S)
        with pytest.raises(Unauthenticated) as raised:
            stream.close()
    assert raised.value.reason == "KEY_INVALID"


def test_gives_up_after_so_many_attempts_without_progress(
    client: Bartizan, ingest: FakeIngest
) -> None:
    away = Plan(refuse=(grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY", None))
    ingest.plans.extend([away] * 3)
    stream = client.stream(max_attempts=3)
    with pytest.raises(Unavailable) as raised:
        stream.send(spans(1)).result(WAIT_S)
    assert raised.value.reason == "DATABASE_AWAY"
    with pytest.raises(Unavailable):
        stream.close()


def test_send_waits_for_room_and_says_when_there_is_none(
    client: Bartizan, ingest: FakeIngest
) -> None:
    ingest.gate.clear()
    with client.stream(limits=Limits(batches=2)) as stream:
        tickets = [stream.send(spans(number)) for number in (1, 2)]
        with pytest.raises(DeadlineExceeded, match="full"):
            stream.send(spans(3), timeout_s=0)
        with pytest.raises(DeadlineExceeded, match="2 batches"):
            stream.flush(timeout_s=0)
        ingest.gate.set()
        tickets.append(stream.send(spans(3)))
        assert [counts(ticket)[0] for ticket in tickets] == [1, 2, 3]


def test_close_gives_up_in_time_and_fails_what_is_left(
    client: Bartizan, ingest: FakeIngest
) -> None:
    ingest.gate.clear()
    stream = client.stream()
    ticket = stream.send(spans(1))
    with pytest.raises(DeadlineExceeded):
        stream.close(timeout_s=0)
    with pytest.raises(DeadlineExceeded):
        ticket.result(0)
    ingest.gate.set()


def test_refuses_batches_that_no_server_takes(client: Bartizan) -> None:
    with client.stream() as stream:
        with pytest.raises(InvalidArgument, match="not 0"):
            stream.send([])
        with pytest.raises(InvalidArgument, match="10,000 spans"):
            stream.send([common_pb2.Span()] * 10_001)
        with pytest.raises(InvalidArgument, match="bytes"):
            stream.send([common_pb2.Span(status_message="x" * 61 * 1024 * 1024)])
    with pytest.raises(FailedPrecondition):
        stream.send(spans(1))


def test_an_empty_stream_ends_cleanly(client: Bartizan) -> None:
    with client.stream() as stream:
        pass
    assert stream.totals.batches == 0


def test_the_error_of_the_block_is_the_one_that_is_seen(endpoint: str) -> None:
    def work() -> None:
        with Bartizan("btz_wrong", endpoint) as client, client.stream() as stream:
            stream._worker.join(WAIT_S)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        work()


def test_many_threads_share_one_stream(client: Bartizan, ingest: FakeIngest) -> None:
    ingest.plans.extend([Plan(acks=3), Plan(acks=5, lost_acks=2)])
    tickets: list[Ticket] = []
    with client.stream(limits=Limits(batches=4)) as stream:

        def work(first: int) -> None:
            tickets.extend(stream.send(spans(number)) for number in range(first, first + 10))

        threads = [threading.Thread(target=work, args=(1 + 10 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(counts(ticket)[0] for ticket in tickets) == list(range(1, 41))
    assert len(ingest.spans) == 80
