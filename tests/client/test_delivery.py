"""What is put arrives, in batches, and every one is accounted for."""

import gc
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.client.delivering import (
    PROMPT,
    QUICK,
    WAIT_S,
    Bytes,
    Note,
    balance,
    delivery,
    feedback,
    free_place,
    numbers,
    otlp,
    place,
    wait_for_threads,
)
from tests.client.fake_ingest import KEY

from bartizan.client import InvalidArgument
from bartizan.client._calls.channel import resolve
from bartizan.client._delivery.delivery import Delivery, Sending
from bartizan.client._record import FEEDBACK, SPAN


def test_what_is_put_arrives_once() -> None:
    with place() as there, delivery(there) as one:
        for number in range(1_000):
            one.put(Note(number))
        assert one.flush(WAIT_S)
        stats = one.stats
        assert (stats.recorded, stats.stored, stats.queued) == (1_000, 1_000, 0)
        assert numbers(there.ingest) == list(range(1_000))


def test_sends_in_batches_of_the_size_it_is_told() -> None:
    with place() as there, delivery(there, Sending(batch_spans=10, linger_s=60)) as one:
        for number in range(100):
            one.put(Note(number))
        assert one.flush(WAIT_S)
        assert there.ingest.connections[0].seqs == list(range(1, 11))


def test_sends_in_batches_of_about_so_many_bytes() -> None:
    with place() as there, delivery(there, Sending(batch_bytes=1_000, linger_s=60)) as one:
        for number in range(100):
            one.put(Note(number))
        assert one.flush(WAIT_S)
        assert len(there.ingest.connections[0].seqs) >= 5


def test_does_not_wait_for_a_full_batch_for_ever() -> None:
    with place() as there, delivery(there, Sending(linger_s=0.01)) as one:
        one.put(Note(1))
        with one._engine.store.changed:
            assert one._engine.store.changed.wait_for(lambda: not one.stats.queued, WAIT_S)


def test_what_cannot_be_encoded_is_counted_and_harms_nothing() -> None:
    class Broken(Note):
        def encode(self) -> bytes:
            raise RecursionError

    class Boundless(Note):
        @property
        def size(self) -> int:
            raise ValueError

    with place() as there, delivery(there) as one:
        for number in range(10):
            one.put(Note(number) if number % 2 else Broken(number))
        one.put(Boundless.__new__(Boundless))
        one.put(Bytes(SPAN, b"\x0a\x02\xff\xff", 1))
        assert one.flush(WAIT_S)
        assert one.stats.dropped == {"encode": 6, "error": 1}
        assert numbers(there.ingest) == [1, 3, 5, 7, 9]
        assert balance(one.stats) == 0


def test_rejected_spans_are_counted() -> None:
    with place() as there, delivery(there) as one:
        one.put(Bytes(SPAN, b"", 1))
        one.put(Note(1))
        one.put(Note(1))
        assert one.flush(WAIT_S)
        stats = one.stats
        assert (stats.stored, stats.rejected, stats.duplicate) == (1, 1, 1)


def test_feedback_and_otlp_go_their_own_ways() -> None:
    with place() as there, delivery(there, Sending(linger_s=60)) as one:
        for number in range(1_500):
            one.put(feedback(number))
        one.put(otlp(1, 7))
        one.put(otlp(2, 5))
        one.put(Bytes(FEEDBACK, b""))
        assert one.flush(WAIT_S)
        assert there.feedback is not None
        ids = [one for request in there.feedback.requests for one in request]
        assert ids == [*(f"f{number}" for number in range(1_500)), ""]
        assert there.otlp == [otlp(3, 0).body]
        stats = one.stats
        assert (stats.recorded, stats.stored, stats.rejected) == (1_513, 1_512, 1)


def test_feedback_requests_keep_to_the_limit_of_the_server() -> None:
    with place() as there, delivery(there, Sending(batch_spans=5_000, linger_s=60)) as one:
        for number in range(1_500):
            one.put(feedback(number))
        assert one.flush(WAIT_S)
        assert there.feedback is not None
        assert [len(ids) for ids in there.feedback.requests] == [1_000, 500]


def test_spans_that_otlp_rejects_are_counted() -> None:
    partial = bytes([0x0A, 0x05, 0x08, 0x03, 0x12, 0x01, 0x78])
    with place(otlp_answer=partial) as there, delivery(there) as one:
        one.put(otlp(1, 10))
        assert one.flush(WAIT_S)
        assert (one.stats.stored, one.stats.rejected) == (7, 3)


def test_flush_says_when_time_is_up_and_what_came_later_does_not_count() -> None:
    with place() as there, delivery(there) as one:
        there.ingest.gate.clear()
        one.put(Note(1))
        assert not one.flush(0.01)
        assert one.stats.queued == 1
        there.ingest.gate.set()
        assert one.flush(WAIT_S)


def test_flush_of_nothing_needs_no_server() -> None:
    with delivery(free_place()) as one:
        assert one.flush(None)
        assert one.shutdown(WAIT_S)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("barti")]


def test_shutdown_sends_what_waits_and_can_be_repeated() -> None:
    with place() as there, delivery(there, Sending(linger_s=60)) as one:
        one.put(Note(1))
        assert one.shutdown(WAIT_S)
        assert one.shutdown(WAIT_S)
        one.put(Note(2))
        assert one.stats.dropped == {"closed": 1}
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [1]
        assert balance(one.stats) == 0


def test_shutdown_gives_up_in_time_and_counts_what_is_left() -> None:
    with delivery(free_place()) as one:
        for number in range(3):
            one.put(Note(number))
        assert not one.shutdown(0.0)
        wait_for_threads()
        assert one.stats.dropped == {"unsent": 3}
        assert balance(one.stats) == 0


def test_a_delivery_that_is_let_go_sends_what_it_has_and_ends() -> None:
    with place() as there:
        one = Delivery(
            resolve(KEY, there.endpoint, None), Sending(linger_s=60),
            spool=None, backoff=QUICK, debug=False,
        )  # fmt: skip
        one.put(Note(1))
        gone = weakref.ref(one._engine)
        del one
        gc.collect()
        wait_for_threads()
        gc.collect()
        assert gone() is None
        assert numbers(there.ingest) == [1]


def test_sends_by_itself_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    really = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if not self.name.startswith("ThreadPoolExecutor"):  # the server's
            raise RuntimeError("can't create new thread at interpreter shutdown")
        really(self)

    with place() as there, delivery(there) as one:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            one.put(Note(1))
            assert one.flush(WAIT_S)
            one.put(Note(2))
            assert one.shutdown(WAIT_S)
        assert numbers(there.ingest) == [1, 2]


def test_a_put_inside_a_put_is_taken() -> None:
    class Nested(Note):
        @property
        def size(self) -> int:
            with one._engine.store.changed:
                one.put(Note(2))
            return 10

    with place() as there, delivery(there) as one:
        one.put(Nested.__new__(Nested))
        one.put(Note(3))
        assert one.flush(WAIT_S)
        assert {2, 3} <= set(numbers(there.ingest))


@pytest.mark.parametrize("gzip", [True, False])
def test_compresses_when_it_is_told(gzip: bool) -> None:
    with place() as there, counting(there.port) as (port, count):
        with delivery(f"127.0.0.1:{port}", Sending(gzip=gzip, linger_s=0.01)) as one:
            one.put(Note(1, name="again " * 10_000))
            assert one.shutdown(WAIT_S)
        assert (sum(count) < 20_000) is gzip
        assert numbers(there.ingest) == [1]


@contextmanager
def counting(port: int) -> Iterator[tuple[int, list[int]]]:
    """Yields a port that passes a connection on, and how many bytes came that way so far."""
    count: list[int] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pump, args=(server, client, []))
            back.start()
            pump(client, server, count)
            back.join()

    def pump(source: socket.socket, sink: socket.socket, passed: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                passed.append(len(data))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], count
        thread.join()


def test_gzip_is_for_other_machines_unless_told() -> None:
    for endpoint, wanted in (("127.0.0.1:1", False), ("[::1]:1", False), ("localhost:1", False),
                             ("unix:/run/x", False), ("traces.example.com:1", True)):  # fmt: skip
        with delivery(endpoint) as one:
            assert one._engine._wire._gzip is wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_spans": 0},
        {"linger_s": -1.0},
        {"when_full": "wait"},
        {"exit_timeout_s": float("nan")},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="Sending"):
        Sending(**wrong)


def test_importing_and_making_one_loads_no_grpc() -> None:
    code = (
        "import sys; from bartizan.client._delivery.delivery import Delivery, Sending\n"
        "from bartizan.client._calls.channel import resolve\n"
        "from bartizan.client._calls.retry import Backoff\n"
        "d = Delivery(resolve('k', 'https://localhost:1', None), Sending(), spool=None,"
        " backoff=Backoff(), debug=False)\n"
        "assert d.flush(1) and d.shutdown(1)\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('grpc', 'google')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_many_threads_put_at_once() -> None:
    with place() as there, delivery(there, PROMPT) as one:

        def work(first: int) -> None:
            for number in range(first, first + 500):
                one.put(Note(number))

        threads = [threading.Thread(target=work, args=(500 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(2_000))
        assert balance(one.stats) == 0
