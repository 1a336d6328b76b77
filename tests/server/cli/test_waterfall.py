"""The bars of a trace stand where its spans ran, whatever its shape."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bartizan.client import TraceView
from bartizan.server.cli.waterfall import print_waterfall
from bartizan.v1 import common_pb2, trace_pb2

START_NS = 1_700_000_000 * 10**9
WIDTH = 120
BARS = 86
MS = 10**6


def span(number: int, parent: int, start_ms: int, length_ms: int, **fields: object):  # type: ignore[no-untyped-def]
    made = common_pb2.Span(
        span_id=f"{number:016x}",
        parent_span_id=f"{parent:016x}" if parent else "",
        name=f"step {number}",
        kind=common_pb2.SPAN_KIND_LLM,
        **fields,  # type: ignore[arg-type]
    )
    made.start_time.FromNanoseconds(START_NS + start_ms * MS)
    made.end_time.FromNanoseconds(START_NS + (start_ms + length_ms) * MS)
    return made


def shown(spans: list[common_pb2.Span], *, verbose: bool = False, **fields: object) -> list[str]:
    findings = [common_pb2.Finding(span_id=spans[0].span_id, category="pii.email_address")]
    view = TraceView(trace_pb2.Trace(trace_id="1" * 32, **fields), spans, findings)  # type: ignore[arg-type]
    file = io.StringIO()
    console = Console(width=WIDTH, file=file, highlight=False, markup=False)
    print_waterfall(console, view, verbose)
    return file.getvalue().splitlines()


def test_bars_stand_where_spans_ran() -> None:
    spans = [span(1, 0, 0, 1000), span(2, 1, 0, 250), span(3, 1, 500, 500), span(4, 3, 999, 0)]
    head, first, finding, *rest, totals = shown(spans, error_count=2)
    assert head.startswith("1" * 32)
    assert first.startswith("└─ step 1  llm ")
    assert "! pii.email_address" in finding
    assert [line.split("step")[0] for line in rest] == ["   ├─ ", "   └─ ", "      └─ "]
    bars = [line[BARS:].rstrip() for line in (first, *rest)]
    assert [len(bar) - len(bar.lstrip()) for bar in bars] == [0, 0, 17, 33]
    assert [len(bar.strip()) for bar in bars] == [34, 9, 17, 1]
    assert totals == "4 spans  4 llm  2 errors"


def test_why_a_span_failed_stands_below_it() -> None:
    message = common_pb2.Message(role=common_pb2.ROLE_USER, content="\x1b[2Jhello\n" * 50)
    failed = span(1, 0, 0, 5, status=common_pb2.STATUS_CODE_ERROR, error_type="timeout")
    failed.input.append(message)
    lines = shown([failed], verbose=True)
    assert lines[2] == "      error timeout"
    assert lines[4].startswith("      ← user: ·[2Jhello ·[2Jhello")
    assert cell_len(lines[4]) == WIDTH


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 10**6), st.integers(-5, 10**6)),
        min_size=1,
        max_size=40,
    )
)
def test_every_span_is_shown_once_and_no_line_is_too_long(
    shape: list[tuple[int, int, int]],
) -> None:
    spans = [
        span(number, min(parent, number - 1), start, length)
        for number, (parent, start, length) in enumerate(shape, 1)
    ]
    lines = [line for line in shown(spans) if "step" in line]
    assert len(lines) == len(spans)
    assert all(cell_len(line) <= WIDTH for line in lines)
    assert all(line[BARS:].strip() for line in lines), "even the shortest leaves a sliver"


def test_a_chain_of_thousands_stays_readable() -> None:
    lines = shown([span(number, number - 1, number, 1) for number in range(1, 3_001)])
    assert len(lines) == 3_003
    assert "step 3000" in lines[-2]


def test_a_span_that_is_its_own_parent_is_shown() -> None:
    assert "step 1" in shown([span(1, 1, 0, 1)])[1]


def test_a_trace_without_spans_is_shown() -> None:
    file = io.StringIO()
    view = TraceView(trace_pb2.Trace(trace_id="1" * 32))
    print_waterfall(Console(width=WIDTH, file=file), view, verbose=False)
    assert file.getvalue().splitlines()[-1] == "0 spans"
