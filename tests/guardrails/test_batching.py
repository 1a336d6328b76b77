import asyncio
import threading
from collections.abc import Sequence

import pytest

from bartizan.guardrails.engine.batching import Batches
from bartizan.plugins.errors import Overloaded


class Doubling:
    """A model that waits to be let go, and remembers what it was given at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.let_go.wait(30)
        return [2 * item for item in items]


@pytest.fixture
def model() -> Doubling:
    return Doubling()


async def begun(model: Doubling) -> None:
    assert await asyncio.to_thread(model.begun.wait, 30)


async def test_each_gets_its_own(model: Doubling) -> None:
    model.let_go.set()
    batches = Batches(model.run, 4)
    found = await asyncio.gather(*(batches.results(range(10 * n, 10 * n + n)) for n in range(9)))
    assert found == [[2 * item for item in range(10 * n, 10 * n + n)] for n in range(9)]
    assert max(map(len, model.batches)) <= 4


async def test_what_waits_is_judged_together(model: Doubling) -> None:
    batches = Batches(model.run, 4)
    first = asyncio.ensure_future(batches.results([0]))
    await begun(model)
    others = [asyncio.ensure_future(batches.results([n])) for n in range(1, 6)]
    await asyncio.sleep(0)
    model.let_go.set()
    assert await asyncio.gather(first, *others) == [[2 * n] for n in range(6)]
    assert model.batches == [[0], [1, 2, 3, 4], [5]]


async def test_one_call_with_much_leaves_room(model: Doubling) -> None:
    batches = Batches(model.run, 2)
    much = asyncio.ensure_future(batches.results(range(100, 106)))
    await begun(model)
    little = asyncio.ensure_future(batches.results([1]))
    await asyncio.sleep(0)
    model.let_go.set()
    assert await little == [2]
    assert await much == [2 * n for n in range(100, 106)]
    assert [1] in [batch[:1] for batch in model.batches[:2]]


async def test_what_was_given_up_is_not_judged(model: Doubling) -> None:
    batches = Batches(model.run, 4)
    first = asyncio.ensure_future(batches.results([0]))
    await begun(model)
    second, third = (asyncio.ensure_future(batches.results([n])) for n in (1, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    model.let_go.set()
    assert [await first, await third] == [[0], [4]]
    assert model.batches == [[0], [2]]


async def test_a_full_queue_takes_no_more(model: Doubling) -> None:
    batches = Batches(model.run, 2, max_waiting=3)
    first = asyncio.ensure_future(batches.results([0]))
    await begun(model)
    second = asyncio.ensure_future(batches.results([1, 2]))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await batches.results([3, 4])
    model.let_go.set()
    assert [await first, await second] == [[0], [2, 4]]
    assert await batches.results([3, 4]) == [6, 8]


async def test_a_failure_is_told_to_all_of_its_batch_alone() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise ArithmeticError
        return list(items)

    batches = Batches(run, 2)
    with pytest.raises(ArithmeticError):
        await batches.results([13, 1])
    assert await batches.results([1, 2]) == [1, 2]


async def test_too_few_results_are_a_failure() -> None:
    batches: Batches[int, int] = Batches(lambda items: items[1:], 2)
    with pytest.raises(ValueError, match="too few results"):
        await batches.results([1, 2])


def test_several_event_loops_share_a_queue(model: Doubling) -> None:
    model.let_go.set()
    batches = Batches(model.run, 4)
    found: dict[int, list[int]] = {}

    def ask(n: int) -> None:
        found[n] = asyncio.run(batches.results([n, n + 1]))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {n: [2 * n, 2 * n + 2] for n in range(4)}
