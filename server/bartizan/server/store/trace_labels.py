"""Looking traces up by what is rare about them.

The function trace_labels of the database makes a set of numbers of each trace, one for each thing
that a filter can ask for, and an index knows them. They narrow a search down; what they let through
must be tested by its columns as well.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, array

from bartizan.server.store.tables import traces
from bartizan.server.store.trace_filter import TraceFilter

PER_LOG = 8
"""Durations in milliseconds, and costs, are labelled by so many times their logarithm."""
LAST_BUCKET = 400
"""No number of 64 bits has a larger one."""

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
        bucket = func.generate_series(first, LAST_BUCKET).column_valued("bucket")
        numbers = select(_number(project_id, kind, cast(bucket, Text)))
        yield labels.op("&&")(func.array(numbers.scalar_subquery(), type_=ARRAY(BigInteger)))


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
        yield Label.DURATION, _bucket(wanted.min_duration / timedelta(milliseconds=1))
    if wanted.min_cost_nano_usd:
        yield Label.COST, _bucket(wanted.min_cost_nano_usd)


def _bucket(amount: float) -> int:
    # A little early, as two ways to a logarithm may differ in the last digits.
    return max(int(math.log1p(amount) * PER_LOG - 1e-6), 0)


def _number(project_id: int, kind: Label, value: Any) -> ColumnElement[int]:
    seed = project_id * 16 + kind
    return func.hashtextextended(value, cast(seed, BigInteger), type_=BigInteger)


def _numbers(values: list[ColumnElement[int]]) -> ColumnElement[Any]:
    return cast(array(values), ARRAY(BigInteger))
