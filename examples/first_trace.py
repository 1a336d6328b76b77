"""Sends one trace: `BARTIZAN_API_KEY=... python examples/first_trace.py`."""

from bartizan.client import Bartizan

with Bartizan() as bz, bz.span("answer", agent="support-bot", model="gpt-4o") as span:
    span.input("Where is my order? Write to ada@example.com.")
    span.output("It is on its way.")
