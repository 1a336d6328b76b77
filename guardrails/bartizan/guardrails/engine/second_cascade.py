"""Judges texts by two looks: a quick one at all, a thorough one at what that did not clear."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec

from bartizan.guardrails.engine.first_look import Doubt, FirstLook, Heads
from bartizan.guardrails.engine.linear_model import WindowScore
from bartizan.guardrails.engine.normalise_view import View
from bartizan.guardrails.engine.second_look import SecondLook
from bartizan.guardrails.engine.second_model import PACKAGE
from bartizan.plugins.contract import Finding, Role, Text

Name = Callable[[str, View, WindowScore], tuple[str, str]]
"""Category and code of what a head found in a window of a view."""


def can_look_again() -> bool:
    """Returns whether the package with the model of the second look is installed."""
    return find_spec(PACKAGE) is not None


class Cascade:
    """Finds what the heads are after. Serves many concurrent calls."""

    def __init__(
        self, name: str, heads: Mapping[Role, Heads], named: Name, *, look_again: bool
    ) -> None:
        """Takes the heads for each role, by name; texts of other roles are not looked at.

        Without a second look the score is that of the first.
        """
        self._named = named
        self._first = FirstLook(name, heads)
        self._second = SecondLook(name) if look_again else None
        self._starting = asyncio.Lock()
        self._has_started = False

    async def start(self) -> None:
        """Loads the models. Takes half a second the first time.

        Raises ImportError if something that the second look needs is not installed.
        """
        async with self._starting:
            if self._has_started:
                return
            if self._second is not None:
                judgements = await self._second.start()
                self._first.ask_from({head: one.doubt for head, one in judgements.items()})
            await self._first.start()
            self._has_started = True

    async def at(self, texts: Sequence[Text]) -> list[Sequence[Finding]]:
        """Returns for each text at most one finding per head: the window that scores most."""
        if not self._has_started:
            await self.start()
        found = await self._first.at(texts)
        if self._second is None or not any(found):
            return [self._findings(doubts) for doubts in found]
        left = await self._second.at(found)
        return [self._findings(doubts) for doubts in left]

    def close(self) -> None:
        """Lets the threads go. May be called twice."""
        self._first.close()
        if self._second is not None:
            self._second.close()

    def _findings(self, doubts: Iterable[Doubt]) -> Sequence[Finding]:
        best: dict[str, Doubt] = {}
        for doubt in doubts:
            if doubt.head not in best or doubt.window.score > best[doubt.head].window.score:
                best[doubt.head] = doubt
        return [self._finding(doubt) for doubt in best.values()]

    def _finding(self, doubt: Doubt) -> Finding:
        head, view, window = doubt
        category, code = self._named(head, view, window)
        start, end = view.span(window.start, window.end)
        return Finding(category, window.score, start, end, code)
