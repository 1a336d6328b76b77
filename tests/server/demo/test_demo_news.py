"""What is told about single traces, and what is not."""

from tests.server.demo.demo_support import ERROR, summary, whole

from bartizan.server.demo.news import LOOP_CALLS, QUIET_MINOR_S, QUIET_S, USUAL_TRACES, News
from bartizan.v1 import common_pb2


class Elapsed:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_is_severe_is_told_first() -> None:
    news = News(Elapsed())
    found = ["pii.email_address", "pii.credit_card", "pii.email_address"]
    news.looked_into(whole(summary("a1"), findings=found))
    (item,) = news.latest(5)
    assert item.text == "card number masked, and 2 more findings"
    assert (item.sort, item.agent, item.trace_id) == ("found", "support-bot", "a1")


def test_a_loop_is_one_line_that_counts_up() -> None:
    news = News(Elapsed())
    for calls in (LOOP_CALLS, LOOP_CALLS + 10):
        trace = summary("a1", status=ERROR)
        trace.root_seen = calls > LOOP_CALLS
        news.looked_into(whole(trace, tools=["run_tests"] * calls, root_error="LoopLimit"))
    (item,) = news.latest(5)
    assert item.sort == "loop"
    assert item.text == f"run_tests called {LOOP_CALLS + 10} times: a loop, ended by LoopLimit"


def test_a_failure_is_told_by_its_class() -> None:
    news = News(Elapsed())
    trace = summary("a1", status=ERROR, error_count=1)
    news.looked_into(whole(trace, root_error="timeout", findings=["pii.iban_code"]))
    assert [item.text for item in news.latest(5)] == ["failed: timeout"]


def test_errors_that_were_overcome_are_told_as_such() -> None:
    news = News(Elapsed())
    trace = summary("a1", error_count=3)
    news.looked_into(whole(trace, errors=["rate_limit", "rate_limit", "conflict"]))
    assert news.latest(1)[0].text == "rate_limit 2 times, conflict, then recovered"


def test_news_of_one_sort_come_no_faster_than_they_can_be_read() -> None:
    elapsed = Elapsed()
    news = News(elapsed)
    for trace_id in ("a1", "a2"):
        news.looked_into(whole(summary(trace_id), findings=["pii.iban_code"]))
    elapsed.now_s += QUIET_S
    news.looked_into(whole(summary("a3"), findings=["pii.iban_code"]))
    assert [item.trace_id for item in news.latest(5)] == ["a3", "a1"]


def test_a_costly_trace_is_told_once_it_is_known_what_is_usual() -> None:
    news = News(Elapsed())
    news.saw(summary("a0", cost_usd=0.5))
    for number in range(USUAL_TRACES):
        news.saw(summary(f"a{number}"))
    assert news.latest(5) == []
    news.saw(summary("b1", cost_usd=1.0))
    assert news.latest(5)[0].text == "costliest so far: $1.000"


def test_the_newest_of_a_sort_can_be_asked_for() -> None:
    news = News(Elapsed())
    assert news.last_of("found", "failed") is None
    news.looked_into(whole(summary("a1"), findings=["pii.iban_code"]))
    news.looked_into(whole(summary("a2", status=ERROR), root_error="timeout"))
    found = news.last_of("found", "failed")
    assert found is not None
    assert found.trace_id == "a1"


def test_what_was_done_about_a_finding_is_told() -> None:
    news = News(Elapsed())
    found = ["pii.credit_card", "injection.indirect"]
    news.looked_into(whole(summary("a1"), findings=found, action=common_pb2.ACTION_FLAG))
    assert news.latest(1)[0].text == "injection indirect flagged, and 1 more finding"


def test_what_is_frequent_is_told_rarely() -> None:
    elapsed = Elapsed()
    news = News(elapsed)
    for _ in range(4):
        news.looked_into(whole(summary("a1"), findings=["pii.email_address"]))
        elapsed.now_s += QUIET_MINOR_S / 2
    assert len(news.latest(9)) == 2


def test_a_loop_stays_on_top_for_a_minute() -> None:
    elapsed = Elapsed()
    news = News(elapsed)
    news.looked_into(whole(summary("a1"), tools=["run_tests"] * LOOP_CALLS))
    elapsed.now_s += 50
    news.looked_into(whole(summary("a2"), findings=["pii.iban_code"]))
    assert [item.trace_id for item in news.latest(5)] == ["a1", "a2"]
    elapsed.now_s += 11
    assert [item.trace_id for item in news.latest(5)] == ["a2", "a1"]
