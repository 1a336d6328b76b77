"""The patch that carries the current span into threads."""

import asyncio
import decimal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
from tests.client.recording import Recording

from bartizan.client._otel import threads
from bartizan.client._recording import context

variable: ContextVar[str] = ContextVar("variable", default="")


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    unpatch = threads.patch()
    yield
    unpatch()


def here() -> str:
    """Returns the id of the current span."""
    current = context.current.get()
    return current.span_id if current is not None else ""


def run(thread: threading.Thread) -> None:
    thread.start()
    thread.join()


def test_a_thread_runs_in_the_span_that_started_it() -> None:
    found: list[str] = []
    with Recording().span("root") as root:
        thread = threading.Thread(target=lambda: found.append(here()))
        run(thread)
    assert found == [root.span_id]
    assert "run" not in thread.__dict__


def test_subclasses_and_timers_are_carried_too() -> None:
    found: list[str] = []

    class Worker(threading.Thread):
        def run(self) -> None:
            found.append(here())

    with Recording().span("root") as root:
        run(Worker())
        run(threading.Timer(0, lambda: found.append(here())))
    assert found == [root.span_id] * 2


def test_a_pool_carries_the_span_of_each_call() -> None:
    recording = Recording()
    with ThreadPoolExecutor(1) as pool:
        with recording.span("a") as a:
            first = pool.submit(here)
        with recording.span("b") as b:
            mapped = list(pool.map(lambda _: here(), range(2)))
        last = pool.submit(here)
        assert (first.result(), mapped, last.result()) == (a.span_id, [b.span_id] * 2, "")


async def test_the_pool_of_an_event_loop_carries_the_span() -> None:
    with Recording().span("root") as root:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, here) == root.span_id


def test_nothing_else_of_the_context_is_carried() -> None:
    found: list[object] = []

    def look() -> None:
        found.append(variable.get())
        found.append(decimal.getcontext().prec)

    with Recording().span("root"), decimal.localcontext(prec=7):
        token = variable.set("mine")
        run(threading.Thread(target=look))
        variable.reset(token)
    assert found == ["", decimal.DefaultContext.prec]


def test_a_function_that_fails_fails_as_before() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with Recording().span("root"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyError, match="mine"):
            pool.submit(fail).result()
        assert pool.submit(divmod, 7, 2).result() == (3, 1)


def test_starting_twice_is_refused_as_before() -> None:
    thread = threading.Thread(target=here)
    run(thread)
    with pytest.raises(RuntimeError):
        thread.start()
    assert "run" not in thread.__dict__


def test_unpatching_leaves_no_trace() -> None:
    unpatch = threads.patch()
    unpatch()
    start = threading.Thread.start
    again = threads.patch()
    again()
    assert threading.Thread.start is start
    assert start.__name__ == "start"
