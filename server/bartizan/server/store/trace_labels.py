"""Looking traces up by what is rare about them.

The function trace_labels of the database makes a set of numbers of each trace, one for each thing
that a filter can ask for, and an index knows them. They narrow a search down; what they let through
must be tested by its columns as well.
"""

import math
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, func
from sqlalchemy.dialects.postgresql import ARRAY, array

from bartizan.server.store.tables import traces
from bartizan.server.store.trace_filter import TraceFilter

BUCKETS = 80
"""Durations and costs are labelled by their logarithm, and the largest by the last bucket."""
PER_LOG_S = 4
PER_LOG_NANO_USD = 2

ARGUMENTS = (
    "project_id", "agents", "models", "tags", "categories", "environment", "machine", "workspace",
    "root_seen", "root_status", "error_count", "start_time", "end_time", "cost_nano_usd",
)  # fmt: skip
"""The columns that trace_labels takes, in its order."""


class Label(IntEnum):
    """The kinds of labels, with the numbers that trace_labels gives them."""

    AGENT = 0
    MODEL = 1
    TAG = 2
    FINDING = 3
    ENVIRONMENT = 4
    MACHINE = 5
    WORKSPACE = 6
    STATUS = 7
    DURATION = 8
    COST = 9


def conditions(project_id: int, wanted: TraceFilter) -> Iterator[ColumnElement[bool]]:
    """Yields what the index can say of a filter: something, wherever `others` has something."""
    labels = func.trace_labels(*(traces.c[name] for name in ARGUMENTS))
    if exact := [_number(project_id, kind, value) for kind, value in _exact(wanted)]:
        yield labels.op("@>")(_numbers(exact))
    for kind, first in _at_least(wanted):
        buckets = [_number(project_id, kind, str(bucket)) for bucket in range(first, BUCKETS)]
        yield labels.op("&&")(_numbers(buckets))


def _exact(wanted: TraceFilter) -> Iterator[tuple[Label, str]]:
    kinds = {"agents": Label.AGENT, "models": Label.MODEL, "tags": Label.TAG}
    for name, values in wanted.listed():
        for value in values:
            yield kinds[name], value
    for kind, value in (
        (Label.FINDING, wanted.finding),
        (Label.ENVIRONMENT, wanted.environment),
        (Label.MACHINE, wanted.machine),
        (Label.WORKSPACE, wanted.workspace),
        (Label.STATUS, str(wanted.status or "")),
    ):
        if value:
            yield kind, value


def _at_least(wanted: TraceFilter) -> Iterator[tuple[Label, int]]:
    if wanted.min_duration:
        yield Label.DURATION, _bucket(wanted.min_duration.total_seconds(), PER_LOG_S)
    if wanted.min_cost_nano_usd:
        yield Label.COST, _bucket(wanted.min_cost_nano_usd, PER_LOG_NANO_USD)


def _bucket(amount: float, per_log: int) -> int:
    # One early, as the logarithms of Python and of the database may differ in the last digit.
    return min(max(int(math.log1p(amount) * per_log) - 1, 0), BUCKETS - 1)


def _number(project_id: int, kind: Label, value: str) -> ColumnElement[int]:
    seed = project_id * 16 + kind
    return func.hashtextextended(value, cast(seed, BigInteger), type_=BigInteger)


def _numbers(values: list[ColumnElement[int]]) -> ColumnElement[Any]:
    return cast(array(values), ARRAY(BigInteger))
