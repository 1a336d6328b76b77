"""`@bz.trace` on everything that can be called."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
from tests.client.recording import Recording, attributes

from bartizan.client._recording import context
from bartizan.v1 import common_pb2


@pytest.fixture
def bz() -> Recording:
    return Recording()


def content(messages: Any) -> list[str]:
    return [one.content for one in messages]


def current_id() -> str:
    span = context.current.get()
    assert span is not None
    return span.span_id


def test_a_function(bz: Recording) -> None:
    @bz.trace
    def answer(question: str) -> str:
        """Answers."""
        return f"{question} Yes."

    assert answer("Is it?") == "Is it? Yes."
    assert (answer.__name__, answer.__doc__) == ("answer", "Answers.")
    assert bz.only.name == "answer"
    assert content(bz.only.input) == ["Is it?"]
    assert content(bz.only.output) == ["Is it? Yes."]


def test_arguments_have_names(bz: Recording) -> None:
    @bz.trace
    def work(first: int, second: str = "b", *rest: int, third: int = 3, **more: int) -> None: ...

    work(1, "x", 5, 6, third=4, fourth=7)
    arguments = '{"first": 1, "second": "x", "args": [5, 6], "third": 4, "fourth": 7}'
    assert content(bz.only.input) == [arguments]
    assert content(bz.only.output) == []


def test_capture_can_be_switched_off(bz: Recording) -> None:
    @bz.tracing(name="quiet", kind="tool", capture=False)
    def work(secret: str) -> str:
        return secret

    work("s3cret")
    assert (bz.only.name, bz.only.kind) == ("quiet", common_pb2.SPAN_KIND_TOOL)
    assert "s3cret" not in str(bz.only)


def test_an_exception_goes_on_unchanged(bz: Recording) -> None:
    error = KeyError("lost")

    @bz.trace
    def work() -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        work()
    assert raised.value is error
    assert bz.only.error_type == "KeyError"
    assert context.current.get() is None


async def test_a_coroutine(bz: Recording) -> None:
    @bz.trace
    async def answer(question: str) -> str:
        await asyncio.sleep(0)
        return await look_up(question)

    @bz.trace
    async def look_up(question: str) -> str:
        return "Oslo"

    assert inspect.iscoroutinefunction(answer)
    assert await answer("Where?") == "Oslo"
    inner, outer = bz.sent
    assert (inner.name, inner.parent_span_id) == ("look_up", outer.span_id)
    assert content(outer.output) == ["Oslo"]


async def test_a_cancelled_coroutine(bz: Recording) -> None:
    started = asyncio.Event()

    @bz.trace
    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bz.only.error_type == "CancelledError"


async def test_tasks_nest_under_what_started_them(bz: Recording) -> None:
    @bz.trace
    async def tool(number: int) -> int:
        await asyncio.sleep(0)
        return number

    @bz.trace
    async def run() -> list[int]:
        return await asyncio.gather(*(tool(number) for number in range(5)))

    assert await run() == [0, 1, 2, 3, 4]
    *tools, root = bz.sent
    assert {one.parent_span_id for one in tools} == {root.span_id}


def test_a_generator(bz: Recording) -> None:
    seen = []

    @bz.trace
    def stream(question: str) -> Iterator[str]:
        for word in ("It ", "is ", "here."):
            seen.append(current_id())
            yield word

    assert inspect.isgeneratorfunction(stream)
    chunks = stream("Where?")
    assert bz.records == []
    parts = []
    for chunk in chunks:
        # The consumer's own spans are not part of it.
        assert context.current.get() is None
        parts.append(chunk)
    assert parts == ["It ", "is ", "here."]
    assert set(seen) == {bz.only.span_id}
    assert content(bz.only.output) == ["It is here."]
    assert bz.only.time_to_first_token_ns > 0


def test_a_generator_is_sent_to_thrown_into_and_returns(bz: Recording) -> None:
    @bz.trace
    def work() -> Generator[Any, Any, str]:
        got = yield 1
        try:
            yield got
        except ValueError as error:
            yield str(error)
        return "done"

    running = work()
    assert [next(running), running.send("sent"), running.throw(ValueError("thrown"))] == [
        1,
        "sent",
        "thrown",
    ]
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "done"
    assert (bz.only.status, content(bz.only.output)) == (
        common_pb2.STATUS_CODE_OK,
        ['[1, "sent", "thrown"]'],
    )


def test_a_generator_that_fails(bz: Recording) -> None:
    @bz.trace
    def work() -> Iterator[str]:
        yield "first"
        raise TimeoutError("too late")

    with pytest.raises(TimeoutError, match="too late"):
        list(work())
    assert (bz.only.error_type, content(bz.only.output)) == ("TimeoutError", ["first"])


def test_a_generator_that_is_abandoned(bz: Recording) -> None:
    closed = []

    @bz.trace
    def work() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    running = work()
    assert next(running) == 0
    running.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert bz.only.status == common_pb2.STATUS_CODE_OK
    assert attributes(bz.only) == {"bartizan.abandoned": True}


def test_a_generator_that_a_function_returns(bz: Recording) -> None:
    @bz.trace
    def answer() -> Iterator[str]:
        return (word for word in ("a", "b"))

    assert list(answer()) == ["a", "b"]
    assert content(bz.only.output) == ["ab"]


def test_a_very_long_stream_is_bounded(bz: Recording) -> None:
    @bz.trace
    def work() -> Iterator[str]:
        for _ in range(1_000):
            yield "x" * 1_000

    assert sum(map(len, work())) == 1_000_000
    assert "chunks cut" in bz.only.output[0].content
    assert len(bz.only.output[0].content) < 300_000


async def test_an_asynchronous_generator(bz: Recording) -> None:
    @bz.trace
    async def stream() -> AsyncIterator[str]:
        for word in ("It ", "is ", "here."):
            await asyncio.sleep(0)
            yield word

    assert inspect.isasyncgenfunction(stream)
    parts = []
    async for chunk in stream():
        assert context.current.get() is None
        parts.append(chunk)
    assert parts == ["It ", "is ", "here."]
    assert content(bz.only.output) == ["It is here."]


async def test_an_asynchronous_generator_is_sent_to_and_thrown_into(bz: Recording) -> None:
    @bz.trace
    async def work() -> Any:
        got = yield 1
        try:
            yield got
        except ValueError as error:
            yield str(error)

    running = work()
    assert await running.asend(None) == 1
    assert await running.asend("sent") == "sent"
    assert await running.athrow(ValueError("thrown")) == "thrown"
    with pytest.raises(StopAsyncIteration):
        await running.asend(None)
    assert bz.only.status == common_pb2.STATUS_CODE_OK


async def test_an_asynchronous_generator_that_fails_or_is_abandoned(bz: Recording) -> None:
    @bz.trace
    async def work() -> AsyncIterator[int]:
        yield 1
        raise TimeoutError

    failing = work()
    with pytest.raises(TimeoutError):
        async for _ in failing:
            pass
    abandoned = work()
    assert await anext(abandoned) == 1
    await abandoned.aclose()  # type: ignore[attr-defined]
    failed, left = bz.sent
    assert failed.error_type == "TimeoutError"
    assert attributes(left) == {"bartizan.abandoned": True}


async def test_an_asynchronous_generator_that_a_coroutine_returns(bz: Recording) -> None:
    @bz.trace
    async def answer() -> AsyncIterator[str]:
        async def words() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        return words()

    assert [word async for word in await answer()] == ["a", "b"]
    assert content(bz.only.output) == ["ab"]


def test_a_class(bz: Recording) -> None:
    @bz.trace
    class Agent:
        greeting = "Hello"

        def __init__(self) -> None:
            self.calls = 0

        def answer(self, question: str) -> str:
            return self._private(question)

        @staticmethod
        def add(a: int, b: int) -> int:
            return a + b

        @classmethod
        def named(cls, name: str) -> str:
            return f"{cls.greeting} {name}"

        @property
        def busy(self) -> bool:
            return False

        def _private(self, question: str) -> str:
            return question.upper()

    agent = Agent()
    assert (agent.answer("why"), Agent.add(1, 2), agent.add(1, 2)) == ("WHY", 3, 3)
    assert (Agent.named("Ada"), agent.busy) == ("Hello Ada", False)
    names = [one.name for one in bz.sent]
    assert names == ["Agent.answer", "Agent.add", "Agent.add", "Agent.named"]
    assert content(bz.sent[0].input) == ["why"]


def test_a_method(bz: Recording) -> None:
    class Agent:
        @bz.trace
        def answer(self, question: str, loud: bool) -> str:
            return question

        @bz.trace
        @staticmethod
        def helper() -> int:
            return 1

    Agent().answer("why", loud=True)
    assert Agent.helper() == 1
    assert bz.sent[0].name == "Agent.answer"
    assert content(bz.sent[0].input) == ['{"question": "why", "loud": true}']


def test_recursion(bz: Recording) -> None:
    @bz.trace
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(5) == 120
    assert len({one.trace_id for one in bz.sent}) == 1
    assert len(bz.sent) == 6


def test_endless_recursion_is_the_caller_s_own(bz: Recording) -> None:
    @bz.trace
    def forever() -> None:
        forever()

    with pytest.raises(RecursionError):
        forever()
    assert context.current.get() is None


def test_what_has_no_signature(bz: Recording) -> None:
    assert bz.trace(max)(3, 7) == 7
    assert content(bz.only.input) == ['{"args": [3, 7]}']
