"""Sessions, tools, tokens and cost: `BARTIZAN_API_KEY=... python examples/support_bot.py`."""

from bartizan.client import Bartizan

bz = Bartizan()


@bz.trace(agent="support-bot")
def answer(question: str) -> str:
    with bz.span("find_order", kind="tool") as span:
        span.set_input({"order": "A-1042"}).set_output({"status": "in Oslo"})
    with bz.span("chat", model="gpt-4o") as span:
        span.set_input(question).set_output("It is in Oslo.")
        span.set_usage(input=120, output=6).set_cost(0.00036)
    return "It is in Oslo."


with bz.session(user="u-17", tags=["beta"]):
    print(answer("Where is order A-1042? Write to ada@example.com."))
