"""Tokens and money of one span, settled from what its attributes say."""

from collections.abc import Sequence
from typing import Any

from bartizan.server.ingest.checks import check_cost, check_subset, check_tokens, nano_usd
from bartizan.server.ingest.semconv.attributes import Read
from bartizan.server.ingest.semconv.table import (
    CACHE_READ,
    CACHE_WRITE,
    COMPLETION_COST,
    COST,
    COST_CURRENCY,
    COST_SOURCE,
    FIELDS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PROMPT_COST,
    REASONING,
    TOTAL_TOKENS,
)
from bartizan.server.ingest.span import Json

Usage = tuple[int, int, int, int, int]
"""Tokens: input, output, and of these read from a cache, written to one, spent on reasoning."""
Cost = tuple[int, float | None, str, int]
"""Billionths of a US dollar, amount as sent, its currency, its source."""

_NO_USAGE: Usage = (0, 0, 0, 0, 0)
_NO_COST: Cost = (0, None, "", 0)
_NOTHING_SAID = [None] * (FIELDS - INPUT_TOKENS)


def settle(
    values: Sequence[Any], reads: Sequence[Read | None], attributes: dict[str, Json]
) -> tuple[Usage, Cost]:
    """Returns tokens and money of a span; raises Rejection when they are out of bounds.

    A total of tokens that is not the sum in the end goes to `attributes`.
    """
    if values[INPUT_TOKENS:] == _NOTHING_SAID:
        return _NO_USAGE, _NO_COST
    usage = _plain_usage(values) or settle_usage(values, reads, attributes)
    return usage, settle_cost(values, reads)


def _plain_usage(values: Sequence[Any]) -> Usage | None:
    """Returns the counts if they fit together as the conventions say, as nearly all do."""
    whole_in, whole_out, total, read, write, reasoning = values[INPUT_TOKENS : REASONING + 1]
    if whole_in is None or whole_out is None:
        return None
    read, write, reasoning = read or 0, write or 0, reasoning or 0
    if read + write > whole_in or reasoning > whole_out:
        return None
    if total is not None and total != whole_in + whole_out:
        return None
    return whole_in, whole_out, read, write, reasoning


def settle_usage(
    values: Sequence[Any], reads: Sequence[Read | None], attributes: dict[str, Json]
) -> Usage:
    """Returns the counts of tokens; raises Rejection when one is out of bounds.

    The conventions say that the whole includes its parts. Some instrumentations report the bare
    rest instead, as some providers do. They are told apart so, and the parts are then added:

    * the parts are larger than the whole they should be a part of; or
    * a total was sent, and it only comes out when the parts are added.

    A half that was not sent is the total less the other half, and never less than its parts. A
    total that is not the sum in the end goes to `attributes`.
    """
    if not any(values[TOTAL_TOKENS : REASONING + 1]):
        return values[INPUT_TOKENS] or 0, values[OUTPUT_TOKENS] or 0, 0, 0, 0
    read, write = values[CACHE_READ] or 0, values[CACHE_WRITE] or 0
    reasoning = values[REASONING] or 0
    whole_in, whole_out = _halves(
        values[INPUT_TOKENS], values[OUTPUT_TOKENS], values[TOTAL_TOKENS], read + write, reasoning
    )
    if read or write or reasoning:
        missing = (values[TOTAL_TOKENS] or 0) - whole_in - whole_out
        add_in, add_out = _excluded(whole_in, whole_out, read + write, reasoning, missing)
        whole_in = check_tokens(whole_in + add_in, "usage.input")
        whole_out = check_tokens(whole_out + add_out, "usage.output")
        check_subset(read, whole_in, "usage.cache_read")
        check_subset(write, whole_in, "usage.cache_write")
        check_subset(reasoning, whole_out, "usage.reasoning")
    total = reads[TOTAL_TOKENS]
    if total is not None and values[TOTAL_TOKENS] != whole_in + whole_out:
        attributes[total[1]] = values[TOTAL_TOKENS]
    return whole_in, whole_out, read, write, reasoning


def _halves(
    sent_in: int | None, sent_out: int | None, total: int | None, cached: int, reasoning: int
) -> tuple[int, int]:
    known_total = total or 0
    if sent_in is None:
        sent_in = cached if sent_out is None else max(known_total - sent_out, cached)
        # A total alone cannot be split; it stays an attribute.
        known_total = 0
    if sent_out is None:
        sent_out = max(known_total - sent_in, reasoning)
    return sent_in, sent_out


def _excluded(
    whole_in: int, whole_out: int, cached: int, reasoning: int, missing: int
) -> tuple[int, int]:
    add_in = cached if cached > whole_in else 0
    add_out = reasoning if reasoning > whole_out else 0
    if missing > 0 and missing == cached + reasoning:
        return cached, reasoning
    if missing > 0 and missing == cached:
        return cached, add_out
    if missing > 0 and missing == reasoning:
        return add_in, reasoning
    return add_in, add_out


def settle_cost(values: Sequence[Any], reads: Sequence[Read | None]) -> Cost:
    """Returns the cost; raises Rejection when its parts add up to an absurd one.

    Without a total, the costs of prompt and completion are added. OpenInference's are US dollars.
    """
    amount, total = values[COST], reads[COST]
    if total is None:
        parts = [
            part for part in (values[PROMPT_COST], values[COMPLETION_COST]) if part is not None
        ]
        if not parts:
            return _NO_COST
        amount = check_cost(sum(parts), "llm.cost")
    in_dollars = total is None or total[1].startswith("llm.")
    currency = "USD" if in_dollars else values[COST_CURRENCY] or ""
    return nano_usd(amount, currency), amount, currency, values[COST_SOURCE] or 0
