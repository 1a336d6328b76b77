"""Acts scripts out through the SDK, as the code of a real agent would use it.

Nobody wants to wait four seconds for each made-up answer, so time is simulated: a turn is acted out
at a tenth of its length, and its spans have the times that they would have had, the last one now.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING

from bartizan.client import Bartizan, Source
from bartizan.server.demo.prices import VERSION, cost_usd
from bartizan.server.demo.script import Line, Step, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bartizan.client import Span

PACE = 0.1
"""Real seconds for a simulated one."""
NANOS = 1_000_000_000

Sleep = Callable[[float], Awaitable[object]]

_simulated: ContextVar[int | None] = ContextVar("simulated_time", default=None)


class Clock:
    """The simulated time of whichever turn asks, and the real time for everyone else."""

    def __init__(self, real_ns: Callable[[], int]) -> None:
        self.real_ns = real_ns

    @property
    def source(self) -> Source:
        """What makes a client's spans have simulated times."""
        return Source(now_ns=self.now_ns, elapsed_ns=self.now_ns)

    def now_ns(self) -> int:
        """Returns the time in nanoseconds since 1970."""
        simulated = _simulated.get()
        return self.real_ns() if simulated is None else simulated

    def set(self, now_ns: int) -> None:
        """Sets the time of the turn that this is called in."""
        _simulated.set(now_ns)


class Player:
    """Acts turns out.

    Args:
        bz: a client that was made with the clock's source.
        clock: the simulated time.
        sleep: waits so many seconds.
    """

    def __init__(self, bz: Bartizan, clock: Clock, sleep: Sleep) -> None:
        self._bz = bz
        self._clock = clock
        self._sleep = sleep

    async def drive(self, turns: "Iterator[Turn]", rate: float, rng: Random) -> None:
        """Begins `rate` turns a second, unevenly, and acts them out side by side; never returns."""
        async with asyncio.TaskGroup() as group:
            for turn in turns:
                group.create_task(self.play(turn))
                await self._sleep(rng.expovariate(rate))

    async def play(self, turn: Turn) -> None:
        """Acts one turn out, and gives the user's opinion of it."""
        ahead = (1 - PACE) * turn.root.length_s
        self._clock.set(self._clock.real_ns() - round(ahead * NANOS))
        session = self._bz.session(
            turn.session_id,
            user=turn.user_id,
            agent=turn.agent,
            environment=turn.environment,
            tags=turn.tags,
        )
        with session:
            trace_id = await self._play(turn.root, turn.machine, turn.workspace)
        if turn.opinion is not None:
            self._bz.feedback(
                trace_id,
                thumbs_up=turn.opinion.thumbs_up,
                comment=turn.opinion.comment,
                session_id=turn.session_id,
                user_id=turn.user_id,
            )

    async def _play(self, step: Step, machine: str = "", workspace: str = "") -> str:
        opened = self._bz.span(
            step.name, kind=step.kind, tool_name=step.tool, machine=machine, workspace=workspace
        )
        with opened as span:
            if step.inputs:
                span.set_input(_messages(step.inputs))
            await self._work(step, span)
            _describe(span, step)
            return span.trace_id

    async def _work(self, step: Step, span: "Span") -> None:
        """Lets the time of a step pass, with the steps inside it in the middle."""
        before = step.first_token_s or step.seconds / 2
        await self._pass(before)
        if step.first_token_s:
            span.first_token()
        if step.together:
            await asyncio.gather(*map(self._play, step.steps))
            self._clock.set(self._clock.now_ns() + round((step.length_s - step.seconds) * NANOS))
        else:
            for inner in step.steps:
                await self._play(inner)
        await self._pass(step.seconds - before)

    async def _pass(self, seconds: float) -> None:
        await self._sleep(seconds * PACE)
        self._clock.set(self._clock.now_ns() + round(seconds * NANOS))


def _describe(span: "Span", step: Step) -> None:
    if step.outputs:
        span.set_output(_messages(step.outputs))
    if step.model is not None:
        span.set_model(step.model.name, step.model.provider)
    if step.model is not None and step.usage is not None:
        usage = step.usage
        span.set_usage(
            usage.input, usage.output, cache_read=usage.cache_read, reasoning=usage.reasoning
        )
        span.set_cost(cost_usd(step.model, usage), price_table=VERSION)
    for event in step.events:
        span.add_event(event)
    if step.error:
        span.set_error(step.error, step.message)


def _messages(lines: tuple[Line, ...]) -> list[dict[str, str]]:
    return [{"role": line.role, "content": line.text} for line in lines]
