"""An asynchronous agent whose tools run side by side: `python examples/async_agent.py`.

Spans find their parents by themselves, because every task starts with the context of its maker. For
threads, `bz.in_context` does the same.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from bartizan.client import Bartizan

bz = Bartizan(agent="planner", environment="example")


@bz.trace(kind="tool")
async def weather(city: str) -> str:
    await asyncio.sleep(0.02)
    if city == "Atlantis":
        raise LookupError("no such city")
    return f"{city}: 12 degrees, light rain"


@bz.trace(kind="tool")
def distance(city: str) -> int:
    return 300 + len(city)


@bz.trace
async def plan(cities: list[str]) -> str:
    reports = await asyncio.gather(*map(weather, cities), return_exceptions=True)
    with ThreadPoolExecutor() as pool:
        kilometres = list(pool.map(bz.in_context(distance), cities))
    with bz.span("chat", model="claude-sonnet-4", provider="anthropic") as span:
        span.set_input(
            [
                {"role": "system", "content": "You plan short trips."},
                {"role": "user", "content": f"Which of {', '.join(cities)} is best?"},
                {"role": "tool", "content": {"weather": reports, "kilometres": kilometres}},
            ]
        )
        span.set_output("Oslo is near, and the rain is light.")
        span.set_usage(input=410, output=11, cache_read=256).set_cost(0.0011)
    return "Oslo"


async def main() -> None:
    with bz.session(user="u-23", metadata={"plan": "pro"}) as session:
        print(await plan(["Oslo", "Bergen", "Atlantis"]))
    bz.feedback(session_id=session.id, thumbs_up=True, comment="Quick and to the point.")
    await bz.aflush(timeout_s=5)


asyncio.run(main())
