"""Filters in Python's own types become messages."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.client import InvalidArgument, TraceQuery
from bartizan.client._calls.query import session_filter, trace_filter
from bartizan.v1 import common_pb2

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_every_field_of_the_contract_has_a_filter() -> None:
    query: TraceQuery = {
        "since": timedelta(hours=24),
        "until": datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        "agent": "support-bot", "user_id": "u", "session_id": "s", "model": "m", "status": "ERROR",
        "environment": "e", "machine": "c", "workspace": "w", "tags": ["a", "b"],
        "min_duration": timedelta(seconds=1.5), "min_cost_usd": 0.25, "finding": "pii",
        "text": "where",
    }  # fmt: skip
    wanted = trace_filter(query, NOW)
    assert {field.name for field, _ in wanted.ListFields()} == set(wanted.DESCRIPTOR.fields_by_name)
    assert wanted.start_time.ToJsonString() == "2026-02-28T12:00:00Z"
    assert wanted.end_time.ToJsonString() == "2026-03-01T10:00:00Z"
    assert wanted.status == common_pb2.STATUS_CODE_ERROR
    assert wanted.min_duration.ToJsonString() == "1.500s"


def test_sessions_have_fewer() -> None:
    assert session_filter({"agent": "a"}, NOW).agent == "a"
    wrong: Any = {"model": "m"}
    with pytest.raises(InvalidArgument, match="no filter 'model'"):
        session_filter(wrong, NOW)


def test_a_status_is_ok_or_error() -> None:
    with pytest.raises(InvalidArgument, match='"ok" or "error"'):
        trace_filter({"status": "unspecified"}, NOW)


@given(st.timedeltas(timedelta(0), timedelta(days=3650)))
def test_a_timedelta_counts_back_from_now(ago: timedelta) -> None:
    start = trace_filter({"since": ago}, NOW).start_time
    assert start.ToDatetime(tzinfo=UTC) == NOW - ago


@given(st.text())
def test_unknown_names_are_refused(name: str) -> None:
    query: Any = {f"x{name}": 1}
    with pytest.raises(InvalidArgument):
        trace_filter(query, NOW)
