"""Sends one trace: `BARTIZAN_API_KEY=... python examples/first_trace.py`."""

from bartizan.client import Bartizan

bz = Bartizan()


@bz.trace(agent="support-bot")
def answer(question: str) -> str:
    return "It is on its way."


answer("Where is my order? Write to ada@example.com.")
