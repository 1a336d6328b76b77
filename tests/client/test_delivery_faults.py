"""The server is away, slow, refuses or is somebody else: what is put waits, or is counted."""

import time

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.delivering import (
    PROMPT,
    QUICK,
    WAIT_S,
    Note,
    balance,
    delivery,
    dropped,
    feedback,
    free_place,
    numbers,
    otlp,
    place,
)
from tests.client.fake_ingest import KEY, POISON, STOP_S, Plan

from bartizan.client._delivery.delivery import Delivery, Sending

AWAY = (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", None)
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.01)


def until_failing(one: Delivery) -> None:
    """Waits until the delivery says that something is wrong."""
    changed = one._engine.store.changed
    with changed:
        deadline = time.monotonic() + WAIT_S
        while not one.stats.last_error and time.monotonic() < deadline:
            changed.wait(0.01)
    assert one.stats.last_error


def test_a_server_that_comes_late_gets_all(caplog: pytest.LogCaptureFixture) -> None:
    there = free_place()
    with delivery(there) as one:
        for number in range(100):
            one.put(Note(number))
        one.put(otlp(1, 1))
        one.put(feedback(1))
        until_failing(one)
        assert "nothing listens" in one.stats.last_error
        there.open()
        assert one.shutdown(WAIT_S)
        there.close(STOP_S)
        assert numbers(there.ingest) == list(range(100))
        assert (one.stats.stored, balance(one.stats)) == (102, 0)
    assert [line.name for line in caplog.records] == ["bartizan.client"]


def test_a_server_that_goes_and_comes_loses_and_doubles_nothing() -> None:
    with place() as there, delivery(there) as one:
        for number in range(200):
            one.put(Note(number))
            if number % 50 == 10:
                there.close()
                there.open()
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(200))
        stats = one.stats
        assert (stats.stored + stats.duplicate, balance(stats)) == (200, 0)


def test_what_was_cut_off_is_sent_again() -> None:
    with place() as there, delivery(there, Sending(batch_spans=5, linger_s=0.01)) as one:
        there.ingest.plans.extend(
            [Plan(acks=1), Plan(refuse=AWAY), Plan(refuse=FULL), Plan(acks=2)]
        )
        for number in range(50):
            one.put(Note(number))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(50))
        assert one.stats.reconnects >= 2


MISHAPS = st.sampled_from(
    [
        Plan(acks=0, lost_acks=1),
        Plan(acks=1, lost_acks=2),
        Plan(acks=2, quiet_end=True),
        Plan(refuse=AWAY),
        Plan(refuse=FULL),
        Plan(acks=0),
        Plan(refuse=(grpc.StatusCode.UNAUTHENTICATED, "INVALID_KEY", None)),
        Plan(refuse=(grpc.StatusCode.INVALID_ARGUMENT, "BAD_STREAM", None)),
    ]
)


@settings(max_examples=20, deadline=None)
@given(st.lists(MISHAPS, max_size=6), st.integers(1, 60), st.integers(1, 20))
def test_whatever_happens_to_connections_every_span_arrives_and_is_counted(
    mishaps: list[Plan], count: int, batch: int
) -> None:
    sending = Sending(batch_spans=batch, linger_s=0.001)
    with place() as there, delivery(there, sending) as one:
        there.ingest.plans.extend(mishaps)
        for number in range(count):
            one.put(Note(number, POISON if number == 13 else ""))
        assert one.flush(WAIT_S)
        stats = one.stats
        assert numbers(there.ingest) == [n for n in range(count) if n != 13]
        assert dropped(stats) == (count > 13)
        assert (balance(stats), stats.queued) == (0, 0)


def test_a_server_that_is_full_for_long_stops_nothing() -> None:
    with place() as there, delivery(there) as one:
        there.ingest.plans.extend([Plan(refuse=FULL)] * 20)
        one.put(Note(1))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [1]
        assert "overloaded" in one.stats.last_error


@pytest.mark.parametrize("when_full", ["drop_newest", "drop_oldest"])
def test_a_slow_server_costs_the_newest_or_the_oldest(when_full: str) -> None:
    sending = Sending(batch_spans=10, linger_s=0.01, queue_spans=300, when_full=when_full)
    with place() as there, delivery(there, sending) as one:
        there.ingest.gate.clear()
        for number in range(1_000):
            one.put(Note(number))
            assert one.stats.queued <= 300
        there.ingest.gate.set()
        assert one.flush(WAIT_S)
        stats = one.stats
        assert (stats.stored, stats.dropped) == (300, {"queue_full": 700})
        kept = numbers(there.ingest)
        if when_full == "drop_newest":
            assert kept == list(range(300))
        else:
            assert kept[-100:] == list(range(900, 1_000))


def test_a_wrong_key_loses_nothing_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with place() as there, delivery(there) as one:
        there.ingest.key = "btz_another"
        for number in range(10):
            one.put(Note(number))
        until_failing(one)
        assert not one.flush(0.2)
        assert "does not accept the API key" in one.stats.last_error
        there.ingest.key = KEY
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(10))
    said = [line.getMessage() for line in caplog.records]
    assert len(said) == 1
    assert KEY not in said[0]


def test_a_server_without_feedback_still_takes_spans() -> None:
    with place(feedback=None) as there, delivery(there) as one:
        one.put(feedback(1))
        until_failing(one)
        assert "not Bartizan, or an older one" in one.stats.last_error
        for number in range(100):
            one.put(Note(number))
        with one._engine.store.changed:
            assert one._engine.store.changed.wait_for(lambda: one.stats.stored == 100, WAIT_S)
        assert one.stats.queued == 1


@pytest.mark.parametrize(
    "poison",
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "BAD_BATCH", None),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", None),
        (grpc.StatusCode.INTERNAL, "INTERNAL", None),
    ],
)
def test_a_poisoned_batch_costs_the_poison_alone(
    poison: tuple[grpc.StatusCode, str, float | None],
) -> None:
    with place() as there, delivery(there, Sending(batch_spans=64, linger_s=0.01)) as one:
        there.ingest.poison = poison
        for number in range(300):
            one.put(Note(number, POISON if number in (17, 200) else ""))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [n for n in range(300) if n not in (17, 200)]
        assert one.stats.dropped == {"refused": 2}
        assert "refused" in one.stats.last_error
        assert balance(one.stats) == 0


def test_a_stranger_that_always_fails_gets_nothing_given_up() -> None:
    with place() as there, delivery(there) as one:
        there.ingest.poison = (grpc.StatusCode.UNKNOWN, "", None)
        one.put(Note(1, POISON))
        until_failing(one)
        assert not one.flush(0.2)
        assert (one.stats.queued, dropped(one.stats)) == (1, 0)


def test_after_a_freeze_a_new_connection_is_used() -> None:
    now = [1_000.0]
    with place() as there, delivery(there, PROMPT, clock=lambda: now[0]) as one:
        now[0] += 3_600
        one.put(Note(1))
        assert one.flush(WAIT_S)
        now[0] += 3_600
        one.put(Note(2))
        assert one.flush(WAIT_S)
        assert len(there.ingest.connections) == 2
        assert numbers(there.ingest) == [1, 2]


def test_a_flush_does_not_trust_a_silent_connection() -> None:
    now = [1_000.0]
    with place() as there, delivery(there, PROMPT, clock=lambda: now[0]) as one:
        one.put(Note(1))
        assert one.flush(WAIT_S)
        there.ingest.gate.clear()
        one.put(Note(2))
        assert not one.flush(0.2)
        now[0] += 10
        there.ingest.plans.append(Plan())
        assert not one.flush(0.2)
        there.ingest.gate.set()
        assert one.flush(WAIT_S)
        assert len(there.ingest.connections) == 2
        assert balance(one.stats) == 0


def test_the_end_of_a_program_waits_briefly_for_a_server_that_was_never_there() -> None:
    with delivery(free_place(), Sending(exit_timeout_s=3_600, linger_s=0.01)) as one:
        one.put(Note(1))
        one._engine.leave()
        assert one.stats.dropped == {"unsent": 1}


def test_a_stream_that_fails_while_nothing_is_on_it_is_opened_again() -> None:
    with place() as there, delivery(there, backoff=QUICK) as one:
        there.ingest.plans.append(Plan(acks=1))
        one.put(Note(1))
        assert one.flush(WAIT_S)
        there.ingest.key = "btz_another"
        one.put(Note(2))
        assert not one.flush(0.2)
        there.ingest.key = KEY
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [1, 2]
