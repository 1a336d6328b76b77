"""A span on its way to the disk: what every door makes and the writer stores."""

from typing import NamedTuple

from bartizan.v1 import common_pb2

NANOS = 1_000_000_000
NANO_USD = 1_000_000_000
"""Money is kept in billionths of a US dollar, so that sums are exact."""


class Dims(NamedTuple):
    """The dimensions of a span: few distinct values, so work on them is done once and kept."""

    agent: str
    environment: str
    model: str
    provider: str
    machine: str
    workspace: str
    tool_name: str
    error_type: str
    kind: int
    status: int


class Message(NamedTuple):
    """One text of a span; `role` is the number of `bartizan.v1.Role`, already resolved."""

    role: int
    content: str
    name: str = ""
    tool_call_id: str = ""
    mime_type: str = ""
    truncated: bool = False


Scalar = str | int | float | bool | None
Json = Scalar | list["Json"] | dict[str, "Json"]


class Event(NamedTuple):
    """Something that happened at one moment of a span."""

    name: str
    time_ns: int
    attributes: dict[str, Json]


class Link(NamedTuple):
    """A pointer to another span."""

    trace_id: bytes
    span_id: bytes
    attributes: dict[str, Json]


class SpanRecord(NamedTuple):
    """One valid span. Times are nanoseconds since 1970; ids are raw bytes (16, 8, 8 or empty).

    A tuple, because it is made and taken apart once for every span: that costs a third of what an
    object with slots does.

    Texts are what the sender sent until the inline chain has run, and redacted from then on.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    start_ns: int
    end_ns: int
    name: str
    dims: Dims
    user_id: str
    session_id: str
    status_message: str
    tags: list[str]
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano_usd: int
    """US dollars only; 0 when unknown or in another currency."""
    cost_amount: float | None
    """As sent, in `cost_currency`; None when unknown."""
    cost_currency: str
    cost_source: int
    price_table: str
    first_token_ns: int
    input: list[Message]
    output: list[Message]
    attributes: dict[str, Json]
    events: list[Event]
    links: list[Link]


ROLE_NAMES: dict[int, str] = {
    number: name.removeprefix("ROLE_").lower() for name, number in common_pb2.Role.items()
}
"""The lower-case name of each role, as rules and stored payloads write it."""
