"""Sums follow the latest state of every trace, however often it is told."""

from hypothesis import given
from hypothesis import strategies as st
from tests.server.demo.demo_support import ERROR, OK, summary, whole

from bartizan.server.demo.figures import Figures, Ledger
from bartizan.v1 import common_pb2

STATES = st.tuples(st.sampled_from("abcd"), st.integers(1, 50), st.integers(0, 9), st.booleans())


@given(st.lists(STATES, max_size=30))
def test_sums_are_those_of_the_latest_states(states: list[tuple[str, int, int, bool]]) -> None:
    figures = Figures()
    for trace_id, spans, findings, failed in states:
        status = ERROR if failed else OK
        figures.saw(summary(trace_id, span_count=spans, finding_count=findings, status=status))
    latest = {trace_id: rest for trace_id, *rest in states}
    total = figures.total
    assert total.traces == len(latest)
    assert total.spans == sum(spans for spans, _, _ in latest.values())
    assert total.findings == sum(findings for _, findings, _ in latest.values())
    assert total.failed == sum(failed for _, _, failed in latest.values())


def test_a_trace_that_is_looked_into_again_counts_once() -> None:
    figures = Figures()
    trace = summary("a")
    figures.looked_into(whole(trace, findings=["pii.iban_code"], errors=["timeout"]))
    figures.looked_into(whole(trace, findings=["pii.iban_code"] * 3, errors=["timeout"]))
    assert figures.kinds == {"pii.iban_code": 3}
    assert figures.errors == {"timeout": 1}


def test_what_was_only_flagged_was_not_redacted() -> None:
    figures = Figures()
    view = whole(summary("a"), findings=["pii.iban_code"], action=common_pb2.ACTION_FLAG)
    figures.looked_into(view)
    assert not figures.kinds


def test_agents_are_told_apart() -> None:
    figures = Figures()
    figures.saw(summary("a"))
    figures.saw(summary("b", agents=["sales-assistant"]))
    assert sorted(figures.agents) == ["sales-assistant", "support-bot"]


def test_the_rate_is_what_the_counters_grew_by() -> None:
    figures = Figures()
    figures.counted(Ledger(stored=40), 1.0)
    figures.counted(Ledger(stored=100), 2.0)
    assert list(figures.per_second) == [40, 30]
    assert figures.rate == 35
    assert figures.ledger.stored == 100
