"""Writes examples/sample-traces.ndjson: `python examples/make_sample.py`.

The same seed gives the same file. Every person, address, number and card in it is made up: mail
goes to example.com, telephone numbers are 555-01xx and the cards are the networks' test numbers.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SEED = 20260301
START_NS = int(datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp()) * 10**9
FILE = Path(__file__).parent / "sample-traces.ndjson"

Span = dict[str, Any]

PRICES = {
    "gpt-4o": (2.5, 10.0, "openai"),
    "claude-sonnet-4": (3.0, 15.0, "anthropic"),
    "gemini-2.5-flash": (0.3, 2.5, "gcp.gemini"),
}
"""US dollars for a million tokens in and out."""

CUSTOMERS = (
    ("u-ada", "Where is order A-1042? You can reach me at ada@example.com or +1 212 555 0143."),
    ("u-bo", "Please refund order A-1077 to my card 4111 1111 1111 1111."),
    ("u-chi", "I cannot log in. My mail is chi@example.org, my address was 192.0.2.44."),
    ("u-dee", "Send the invoice to DE89 3704 0044 0532 0130 00, please."),
    ("u-eve", "How long does delivery to Oslo take?"),
    ("u-fay", "Cancel A-1101 and call me on 415-555-0167."),
)
ANSWERS = (
    "It left our warehouse yesterday and arrives tomorrow.",
    "Done: the refund reaches you within three working days.",
    "I have sent a new link to the mail address that we know.",
    "Delivery takes four working days.",
)
TASKS = (
    "Make the retry in fetch.py wait longer each time",
    "Find out why test_totals fails on Windows",
    "Rename Customer to Account everywhere",
    "Add a limit of 20 to the search page",
)
QUESTIONS = (
    ("How many days of leave do I have in my first year?", "leave-policy.md"),
    ("Who approves travel over 2,000 euros?", "travel-policy.md"),
    ("What do I do when I lose my badge?", "security-handbook.md"),
    ("May I work from another country?", "remote-work.md"),
)


class Trace:
    """Collects the spans of one trace, one after the other in time."""

    def __init__(self, rng: random.Random, start_ns: int, **shared: Any) -> None:
        self.rng = rng
        self.now_ns = start_ns
        self.trace_id = f"{rng.getrandbits(128):032x}"
        self.shared = shared
        self.spans: list[Span] = []

    def open(self, name: str, kind: str, parent: Span | None = None, **fields: Any) -> Span:
        """Begins a span; `close` ends it."""
        self.now_ns += self.rng.randrange(2, 20) * 10**6
        span = {
            "trace_id": self.trace_id,
            "span_id": f"{self.rng.getrandbits(64):016x}",
            "name": name,
            "kind": f"SPAN_KIND_{kind}",
            "start_time": rfc3339(self.now_ns),
            **self.shared,
            **fields,
        }
        if parent is not None:
            span["parent_span_id"] = parent["span_id"]
        self.spans.append(span)
        return span

    def close(self, span: Span, error: tuple[str, str] | None = None) -> None:
        """Ends a span, well or with an error's type and text."""
        span["end_time"] = rfc3339(self.now_ns)
        span["status"] = "STATUS_CODE_ERROR" if error else "STATUS_CODE_OK"
        if error:
            span["error_type"], span["status_message"] = error

    def leaf(self, name: str, kind: str, parent: Span, ms: int, **fields: Any) -> Span:
        """Adds a span without children that takes about so many milliseconds."""
        error = fields.pop("error", None)
        span = self.open(name, kind, parent, **fields)
        self.now_ns += int(ms * self.rng.uniform(0.5, 2.0) * 10**6)
        self.close(span, error)
        return span

    def chat(self, parent: Span, model: str, asked: list[Any], said: list[Any]) -> Span:
        """Adds a model call with tokens and price to match."""
        read, written = self.rng.randrange(200, 4_000), self.rng.randrange(20, 600)
        price_in, price_out, provider = PRICES[model]
        return self.leaf(
            f"chat {model}", "LLM", parent, 4 * written,
            model=model, provider=provider, input=asked, output=said,
            usage={"input": read, "output": written, "cache_read": read // 3},
            cost={
                "amount": round((read * price_in + written * price_out) / 1e6, 6),
                "currency": "USD", "source": "COST_SOURCE_LOCAL", "price_table": "sample",
            },
            time_to_first_token_ns=self.rng.randrange(150, 900) * 10**6,
        )  # fmt: skip


def rfc3339(ns: int) -> str:
    """Returns a time as JSON has it."""
    seconds, rest = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def text(role: str, content: str, **more: str) -> dict[str, str]:
    """Returns one message."""
    return {"role": f"ROLE_{role}", "content": content, **more}


def support(rng: random.Random, start_ns: int, number: int) -> list[Span]:
    """Returns a support agent that looks an order up and answers."""
    user, question = CUSTOMERS[number % len(CUSTOMERS)]
    answer = ANSWERS[number % len(ANSWERS)]
    trace = Trace(
        rng, start_ns, agent="support-bot", user_id=user, session_id=f"chat-{1040 + number // 2}",
        environment="production", machine=f"web-{1 + number % 3}", tags=["support", "chat"],
    )  # fmt: skip
    root = trace.open("invoke_agent support-bot", "AGENT", input=[text("USER", question)])
    call = f"call-{number}"
    arguments = json.dumps({"customer": user})
    ask = [text("SYSTEM", "You are a friendly support agent."), text("USER", question)]
    wish = [text("TOOL_CALL", arguments, name="find_orders", tool_call_id=call)]
    trace.chat(root, "gpt-4o", ask, wish)
    failed = number % 5 == 3
    found = json.dumps({"order": f"A-{1042 + number}", "contact": f"{user[2:]}@example.com"})
    trace.leaf(
        "execute_tool find_orders", "TOOL", root, 40,
        tool_name="find_orders",
        input=[text("TOOL_CALL", arguments, name="find_orders", tool_call_id=call)],
        output=[] if failed else [text("TOOL_RESULT", found, tool_call_id=call)],
        error=("TimeoutError", "The order service did not answer in 2 s.") if failed else None,
    )  # fmt: skip
    if not failed:
        trace.leaf("check_refund_policy", "CHAIN", root, 5)
        trace.leaf("guard answer", "GUARDRAIL", root, 8, output=[text("ASSISTANT", "allow")])
    reply = "I am sorry, I cannot look that up right now." if failed else answer
    trace.chat(root, "gpt-4o", [*ask, text("TOOL_RESULT", found)], [text("ASSISTANT", reply)])
    root["output"] = [text("ASSISTANT", reply)]
    trace.close(root)
    return trace.spans


def coding(rng: random.Random, start_ns: int, number: int) -> list[Span]:
    """Returns a coding agent that reads, edits and tests in turns."""
    task = TASKS[number % len(TASKS)]
    trace = Trace(
        rng, start_ns, agent="coder", user_id="u-dev", session_id=f"edit-{number}",
        environment="development", machine="laptop-7", workspace="checkout/main", tags=["coding"],
    )  # fmt: skip
    root = trace.open("invoke_agent coder", "AGENT", input=[text("USER", task)])
    broken = number % 4 == 1
    error = ("CalledProcessError", "pytest ended with 1.") if broken else None
    steps = (("read_file", 6, None), ("edit_file", 9, None), ("run_tests", 2_500, error))
    for tool, ms, wrong in steps:
        arguments = json.dumps({"path": f"src/{tool}.py"})
        wish = text("TOOL_CALL", arguments, name=tool)
        trace.chat(root, "claude-sonnet-4", [text("USER", task)], [wish])
        said = "1 failed, 41 passed" if wrong else "done"
        trace.leaf(
            f"execute_tool {tool}", "TOOL", root, ms,
            tool_name=tool, input=[wish], output=[text("TOOL_RESULT", said)], error=wrong,
        )  # fmt: skip
    done = [text("ASSISTANT", "One test still fails." if broken else "All tests pass.")]
    trace.chat(root, "claude-sonnet-4", [text("USER", task)], done)
    root["output"] = done
    trace.close(root, ("AgentGaveUp", "A test still fails.") if broken else None)
    return trace.spans


def retrieval(rng: random.Random, start_ns: int, number: int) -> list[Span]:
    """Returns a retrieval agent that answers out of documents."""
    question, document = QUESTIONS[number % len(QUESTIONS)]
    trace = Trace(
        rng, start_ns, agent="handbook", user_id=f"u-{100 + number}", environment="staging",
        session_id=f"ask-{number}", machine="rag-1", tags=["rag", "hr"],
    )  # fmt: skip
    root = trace.open("answer from handbook", "WORKFLOW", input=[text("USER", question)])
    trace.leaf(
        "embed question", "EMBEDDING", root, 30,
        model="text-embedding-3-small", provider="openai", input=[text("USER", question)],
        usage={"input": len(question) // 4},
    )  # fmt: skip
    passage = text("RETRIEVED", f"{document}: ask people@example.com if in doubt.", name=document)
    trace.leaf(
        "search documents", "RETRIEVER", root, 60,
        input=[text("USER", question)], output=[passage],
        attributes=[{"key": "retrieval.top_k", "int_value": "8"}],
    )  # fmt: skip
    trace.leaf("rerank documents", "RERANKER", root, 45, output=[passage])
    answer = [text("ASSISTANT", f"See {document}, section {1 + number}.")]
    trace.chat(root, "gemini-2.5-flash", [passage, text("USER", question)], answer)
    score = {"key": "score", "double_value": round(rng.uniform(0.6, 1.0), 2)}
    trace.leaf("judge faithfulness", "EVALUATOR", root, 400, attributes=[score])
    root["output"] = answer
    trace.close(root)
    return trace.spans


def sample() -> Iterator[Span]:
    """Yields the spans of all traces, in the order in which the traces began."""
    rng = random.Random(SEED)  # noqa: S311 - it must be repeatable, not secret
    start_ns = START_NS
    makers = [support] * 8 + [coding] * 5 + [retrieval] * 5
    rng.shuffle(makers)
    counts = {support: 0, coding: 0, retrieval: 0}
    for make in makers:
        yield from make(rng, start_ns, counts[make])
        counts[make] += 1
        start_ns += rng.randrange(30, 240) * 10**9


def main() -> None:
    """Writes the file."""
    lines = [json.dumps(span, ensure_ascii=False) for span in sample()]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
