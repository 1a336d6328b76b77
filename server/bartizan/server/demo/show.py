"""Shows what goes on until it is time to stop: live on a terminal, in plain lines elsewhere."""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from bartizan.server.demo.figures import Figures
from bartizan.server.demo.keyboard import quit_key
from bartizan.server.demo.news import News
from bartizan.server.demo.view import View, clock
from bartizan.server.demo.watching import Watch, read_ledger

FRAME_S = 0.25
LINE_S = 5.0
COUNT_S = 1.0


class Stage:
    """What is shown, and where it comes from.

    Args:
        watch: what brings news from the server.
        http: HOST:PORT of the server's HTTP door.
        elapsed_s: returns the seconds since the demo began.
    """

    def __init__(self, watch: Watch, http: str, elapsed_s: Callable[[], float]) -> None:
        self.figures = Figures()
        self.news = News(elapsed_s)
        self.elapsed_s = elapsed_s
        self._watch = watch
        self._http = http
        self._counted_s = 0.0

    async def refresh(self, *, at_once: bool = False) -> None:
        """Takes in what has arrived, and, once a second or at once, the server's counters."""
        self._watch.take(self.figures, self.news)
        since = self.elapsed_s() - self._counted_s
        if since < COUNT_S and not at_once:
            return
        ledger = await asyncio.to_thread(read_ledger, self._http)
        if ledger is not None:
            self.figures.counted(ledger, since)
            self._counted_s += since


async def show_live(console: Console, stage: Stage, view: View, stop: asyncio.Event) -> None:
    """Draws the screen several times a second until the event is set."""
    with (
        quit_key(stop),
        Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
    ):
        while not stop.is_set():
            await stage.refresh()
            width, height = console.size
            live.update(view.screen(stage.elapsed_s(), width, height), refresh=True)
            await pause(stop, FRAME_S)


async def show_lines(console: Console, stage: Stage, stop: asyncio.Event) -> None:
    """Prints a line every few seconds until the event is set."""
    while not stop.is_set():
        await pause(stop, LINE_S)
        await stage.refresh(at_once=True)
        console.print(line(stage.figures, stage.elapsed_s()), soft_wrap=True)


def line(figures: Figures, elapsed_s: float) -> str:
    """Returns the most important figures on one line."""
    total = figures.total
    return (
        f"{clock(elapsed_s):>6}  {figures.rate:,.0f} spans/s  {figures.ledger.stored:,} spans  "
        f"{total.traces:,} traces  {total.failed:,} failed  {total.findings:,} findings  "
        f"${total.cost_usd:,.3f}"
    )


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Waits so many seconds, or until the event is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
