"""What a span must be to be taken in. Every door applies these checks, field by field."""

import math
import re
from collections.abc import Iterable

from bartizan.server.ingest.span import NANO_USD, NANOS, Json
from bartizan.v1 import trace_pb2

MIN_START_NS = 946_684_800 * NANOS
"""2000-01-01. Before it a clock was not set, not a span recorded."""
MAX_AHEAD_NS = 24 * 3600 * NANOS
"""How far a sender's clock may run ahead."""
MAX_DURATION_NS = 30 * 24 * 3600 * NANOS
MAX_TOKENS = 1_000_000_000
MAX_COST = 1_000_000.0
MAX_ATTRIBUTES = 512
MAX_EVENTS = 256
MAX_LINKS = 128
MAX_PART_ATTRIBUTES = 256
MAX_MESSAGES = 1_024
MAX_TAGS = 32
MAX_JSON_DEPTH = 32
MAX_STATUS_MESSAGE = 8_192

MAX_LENGTH = {
    "name": 256,
    "error_type": 128,
    "model": 128,
    "provider": 128,
    "agent": 128,
    "user_id": 256,
    "session_id": 256,
    "environment": 64,
    "machine": 128,
    "workspace": 256,
    "tool_name": 128,
    "tags": 128,
}
"""The longest value of each text column, in characters."""

Reason = trace_pb2.RejectReason


class Rejection(Exception):
    """Raised when one span cannot be taken in; its neighbours can.

    Attributes:
        reason: why, from the contract.
        field: the path of the field.
        detail: for people; holds limits and sizes, never content.
    """

    def __init__(self, reason: "trace_pb2.RejectReason.ValueType", field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.reason = reason
        self.field = field
        self.detail = detail


_HEX_IDS = {16: re.compile(r"[0-9a-fA-F]{32}"), 8: re.compile(r"[0-9a-fA-F]{16}")}


def parse_id(value: str, size: int, field: str) -> bytes:
    """Reads a hexadecimal id of `size` bytes; raises Rejection when it is empty, zero or odd."""
    if not value:
        raise Rejection(Reason.REJECT_REASON_MISSING, field, "is required")
    if _HEX_IDS[size].fullmatch(value) is None:
        raise Rejection(
            Reason.REJECT_REASON_MALFORMED, field, f"must be {size * 2} hexadecimal digits"
        )
    return check_id(bytes.fromhex(value), size, field)


def check_id(value: bytes, size: int, field: str) -> bytes:
    """Returns a raw id; raises Rejection when it is empty, zero or of another length."""
    if not value:
        raise Rejection(Reason.REJECT_REASON_MISSING, field, "is required")
    if len(value) != size:
        raise Rejection(
            Reason.REJECT_REASON_MALFORMED, field, f"must be {size} bytes, has {len(value)}"
        )
    if not any(value):
        raise Rejection(Reason.REJECT_REASON_MISSING, field, "must not be all zero")
    return value


def check_times(start_ns: int, end_ns: int, now_ns: int) -> None:
    """Raises Rejection when a span's times are absent, out of order or out of bounds."""
    if not start_ns:
        raise Rejection(Reason.REJECT_REASON_MISSING, "start_time", "is required")
    if not end_ns:
        raise Rejection(Reason.REJECT_REASON_MISSING, "end_time", "is required")
    if not MIN_START_NS <= start_ns <= now_ns + MAX_AHEAD_NS:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE,
            "start_time",
            "must be from 2000-01-01 to one day from now",
        )
    if end_ns < start_ns:
        raise Rejection(Reason.REJECT_REASON_OUT_OF_RANGE, "end_time", "is before start_time")
    if end_ns - start_ns > MAX_DURATION_NS:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE, "end_time", "is over 30 days after start_time"
        )


def check_tokens(value: int, field: str) -> int:
    """Returns a token count; raises Rejection when it is negative or absurd."""
    if not 0 <= value <= MAX_TOKENS:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE, field, f"must be from 0 to {MAX_TOKENS:,}"
        )
    return value


def check_subset(part: int, whole: int, field: str) -> int:
    """Returns a token count that is a part of another; raises Rejection when it is larger."""
    if not 0 <= part <= whole:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE, field, "must be from 0 to the count it is a part of"
        )
    return part


def check_cost(amount: float, field: str) -> float:
    """Returns an amount of money; raises Rejection when it is not finite, negative or absurd."""
    if not math.isfinite(amount):
        raise Rejection(Reason.REJECT_REASON_MALFORMED, field, "must be a finite number")
    if not 0 <= amount <= MAX_COST:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE, field, f"must be from 0 to {MAX_COST:,.0f}"
        )
    return amount


def check_text(value: str, field: str, limit: int | None = None) -> str:
    """Returns a text; raises Rejection when it is too long, holds NUL or a lone surrogate."""
    if limit is not None and len(value) > limit:
        raise Rejection(
            Reason.REJECT_REASON_TOO_LARGE, field, f"has {len(value)} characters, limit {limit}"
        )
    if "\0" in value:
        raise Rejection(Reason.REJECT_REASON_BAD_TEXT, field, "holds the NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Rejection(Reason.REJECT_REASON_BAD_TEXT, field, "is not valid Unicode") from None
    return value


def check_count(value: int, limit: int, field: str) -> None:
    """Raises Rejection when a list has too many entries."""
    if value > limit:
        raise Rejection(
            Reason.REJECT_REASON_TOO_LARGE, field, f"has {value} entries, limit {limit}"
        )


def check_json(value: Json, field: str, depth: int = 1) -> Json:
    """Returns a JSON value; raises Rejection when it is too deep, or a leaf is not storable."""
    if depth > MAX_JSON_DEPTH:
        raise Rejection(
            Reason.REJECT_REASON_TOO_LARGE, field, f"is nested deeper than {MAX_JSON_DEPTH} levels"
        )
    if isinstance(value, str):
        return check_text(value, field)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Rejection(Reason.REJECT_REASON_MALFORMED, field, "must be a finite number")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key, field)
            check_json(item, field, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_json(item, field, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise Rejection(Reason.REJECT_REASON_OUT_OF_RANGE, field, "must fit in 64 bits")
    return value


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Returns tags sorted and once each; raises Rejection when there are too many or one is odd."""
    unique = sorted(set(tags))
    check_count(len(unique), MAX_TAGS, "tags")
    return [check_text(tag, "tags", MAX_LENGTH["tags"]) for tag in unique if tag]


def known(number: int, enum: object, field: str) -> int:
    """Returns an enum's number; raises Rejection when the contract does not have it."""
    if number not in enum.DESCRIPTOR.values_by_number:  # type: ignore[attr-defined]
        raise Rejection(
            Reason.REJECT_REASON_UNKNOWN_ENUM, field, f"the value {number} is not known"
        )
    return number


def nano_usd(amount: float | None, currency: str) -> int:
    """Returns what counts towards sums of money: US dollars only, in billionths."""
    if amount is None or currency not in ("", "USD"):
        return 0
    return round(amount * NANO_USD)
