"""The conformance kit: what every guardrail has to bear, for the authors of guardrails.

Derive a test class from GuardrailConformance, say how your guardrail is made, and run pytest:

    class TestMine(GuardrailConformance):
        def make(self) -> Guardrail:
            return Mine(MineConfig())
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.runner import checked

PLANTED = "jane.planted@example.com, 596-88-3094, sk-planted-4f3a9c17"
"""Looks like what guardrails look for, and must never show up in an error."""

ODD_TEXTS = (
    "",
    " ",
    "\n\r\t",
    "\0",
    f"before\0after {PLANTED}",
    "e\u0301 n\u0303 o\u0308 combining marks",
    "\U0001f469\u200d\U0001f4bb \U0001f600 \U0001d4d0 beyond the basic plane",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eright to left\u202c",
    "zero\u200bwidth\u200djoiner\ufeff",
    "\u0661\u0662\u0663-\u0664\u0665-\u0666\u0667\u0668\u0669 other digits",
    "\uff11\uff12\uff13\uff0d\uff14\uff15\uff0d\uff16\uff17\uff18\uff19 wide digits",
    "a lone \ud800 surrogate",
    "@" * 500,
    "1-" * 500,
    "((((((((((" * 50,
    PLANTED,
)

HUGE_CHARACTERS = 1_000_000
MANY_TEXTS = 500
CONCURRENT_CALLS = 8


class GuardrailConformance(ABC):
    """The tests. Each makes a guardrail of its own."""

    @abstractmethod
    def make(self) -> Guardrail:
        """Returns a new guardrail, not started."""

    async def started(self) -> Guardrail:
        """Returns a new guardrail, started if it has a `start`."""
        guardrail = self.make()
        start = getattr(guardrail, "start", None)
        if start is not None:
            await start()
        return guardrail

    async def judged(self, guardrail: Guardrail, values: Sequence[str]) -> list[list[Finding]]:
        """Returns the findings of each value, after checking that they can be."""
        texts = [Text(Role.USER, value) for value in values]
        results = await guardrail.check(texts)
        checked(texts, results)
        return [list(findings) for findings in results]

    def test_keeps_the_contract(self) -> None:
        assert isinstance(self.make(), Guardrail)

    async def test_no_texts(self) -> None:
        guardrail = await self.started()
        assert await self.judged(guardrail, []) == []
        await guardrail.aclose()

    async def test_empty_text_holds_nothing(self) -> None:
        guardrail = await self.started()
        assert await self.judged(guardrail, [""]) == [[]]
        await guardrail.aclose()

    async def test_odd_texts(self) -> None:
        guardrail = await self.started()
        await self.judged(guardrail, ODD_TEXTS)
        await guardrail.aclose()

    async def test_every_role(self) -> None:
        guardrail = await self.started()
        texts = [Text(role, PLANTED) for role in Role]
        checked(texts, await guardrail.check(texts))
        await guardrail.aclose()

    async def test_huge_text(self) -> None:
        guardrail = await self.started()
        filler = "The quick brown fox jumps over the lazy dog. "
        huge = filler * (HUGE_CHARACTERS // len(filler)) + PLANTED
        await self.judged(guardrail, [huge, ""])
        await guardrail.aclose()

    async def test_order_is_kept(self) -> None:
        guardrail = await self.started()
        values = [PLANTED if place % 7 == 3 else f"text {place}" for place in range(MANY_TEXTS)]
        together = await self.judged(guardrail, values)
        assert len(together) == len(values)
        [planted] = await self.judged(guardrail, [PLANTED])
        assert all(together[place] == planted for place in range(3, MANY_TEXTS, 7))
        await guardrail.aclose()

    async def test_same_answer_again_and_at_once(self) -> None:
        guardrail = await self.started()
        calls = [self.judged(guardrail, ODD_TEXTS) for _ in range(CONCURRENT_CALLS)]
        first, *others = await asyncio.gather(*calls)
        assert all(other == first for other in others)
        await guardrail.aclose()

    async def test_cancelled_midway_it_still_works(self) -> None:
        guardrail = await self.started()
        call = asyncio.ensure_future(self.judged(guardrail, list(ODD_TEXTS) * 50))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await self.judged(guardrail, ODD_TEXTS)
        await guardrail.aclose()

    async def test_closed_twice(self) -> None:
        guardrail = await self.started()
        await guardrail.aclose()
        await guardrail.aclose()

    async def test_closed_unopened(self) -> None:
        await self.make().aclose()

    async def test_errors_hold_no_content(self) -> None:
        guardrail = await self.started()
        for value in (PLANTED, f"\ud800{PLANTED}", f"\0{PLANTED}\0", PLANTED * 1_000):
            error = await self._error_of(guardrail, value)
            assert not _quotes(error), "an exception quotes the text"
        await guardrail.aclose()

    async def _error_of(self, guardrail: Guardrail, value: str) -> Exception | None:
        try:
            await self.judged(guardrail, [value])
        except Exception as error:
            return error
        return None


def _quotes(error: BaseException | None) -> bool:
    while error is not None:
        if any(part in repr(error) for part in PLANTED.split(", ")):
            return True
        error = error.__cause__ or error.__context__
    return False
