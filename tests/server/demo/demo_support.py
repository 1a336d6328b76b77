"""Traces and findings as a server would tell them."""

from collections.abc import Iterable

from bartizan.client import TraceView
from bartizan.v1 import common_pb2, trace_pb2

OK = common_pb2.STATUS_CODE_OK
ERROR = common_pb2.STATUS_CODE_ERROR


def summary(trace_id: str, **fields: object) -> trace_pb2.Trace:
    """Returns a finished trace of the support agent."""
    usual = {
        "agents": ["support-bot"],
        "root_seen": True,
        "status": OK,
        "span_count": 3,
        "cost_usd": 0.25,
        "usage": common_pb2.TokenUsage(input=100, output=20),
    }
    return trace_pb2.Trace(trace_id=trace_id, **{**usual, **fields})  # type: ignore[arg-type]


def whole(
    trace: trace_pb2.Trace,
    *,
    tools: Iterable[str] = (),
    errors: Iterable[str] = (),
    findings: Iterable[str] = (),
    root_error: str = "",
    action: "common_pb2.Action.ValueType" = common_pb2.ACTION_REDACT,
) -> TraceView:
    """Returns a trace with a root span, calls of tools, failed calls and findings."""
    root = common_pb2.Span(name="invoke_agent support-bot", error_type=root_error)
    calls = [common_pb2.Span(parent_span_id="1", tool_name=tool) for tool in tools]
    failed = [common_pb2.Span(parent_span_id="1", error_type=error) for error in errors]
    found = [common_pb2.Finding(category=category, action=action) for category in findings]
    return TraceView(trace, [root, *calls, *failed], found)
