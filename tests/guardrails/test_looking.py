import asyncio
import threading
from collections.abc import Sequence

import pytest

from bartizan.guardrails.engine.looking import LARGE_CHARACTERS, Looks, NobodyWaits, heed
from bartizan.plugins.contract import Finding


class Seen:
    """Notes what it is shown, and in which thread."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.values: list[str] = []

    def look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        self.threads.append(threading.current_thread())
        self.values.append(value)
        return [Finding("a.b", 1.0, 0, len(value), "A")]


async def test_each_text_is_looked_at_once_and_answered_in_order() -> None:
    seen = Seen()
    looks = Looks("seen", seen.look, 1_000)
    values = ["a", "bb", "a", "", "bb"]
    assert [found[0].end for found in await looks.at(values)] == [1, 2, 1, 0, 2]
    assert seen.values == ["a", "bb", ""]
    assert set(seen.threads) == {threading.current_thread()}
    looks.close()


async def test_what_takes_long_is_looked_at_in_threads() -> None:
    seen = Seen()
    looks = Looks("seen", seen.look, 1_000)
    await looks.at(["x" * 2_000, "y" * LARGE_CHARACTERS])
    assert [thread.name for thread in seen.threads] == ["seen_0", "seen-large_0"]
    looks.close()
    looks.close()


async def test_nobody_waits_for_an_abandoned_look() -> None:
    began, ended = threading.Event(), threading.Event()

    def look(value: str, gone: threading.Event) -> Sequence[Finding]:
        began.set()
        gone.wait(30)
        ended.set()
        heed(gone)
        return []

    looks = Looks("slow", look, 10)
    call = asyncio.ensure_future(looks.at(["x" * 100]))
    await asyncio.to_thread(began.wait, 30)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert await asyncio.to_thread(ended.wait, 30)
    looks.close()


def test_heed() -> None:
    gone = threading.Event()
    heed(gone)
    gone.set()
    with pytest.raises(NobodyWaits):
        heed(gone)
