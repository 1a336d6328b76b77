"""What the screen shows, on terminals of several sizes."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.server.demo.demo_support import ERROR, summary, whole

from bartizan.server.demo.figures import Figures, Ledger
from bartizan.server.demo.news import News
from bartizan.server.demo.show import line
from bartizan.server.demo.summary import print_summary
from bartizan.server.demo.view import Access, View, clock, sparkline

ACCESS = Access("bartizan", "127.0.0.1:4317", "127.0.0.1:8080", "bz_" + "k" * 43)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def recorded(width: int, height: int) -> Console:
    """Returns a console that keeps what is printed."""
    return Console(file=io.StringIO(), width=width, height=height, record=True)


@pytest.fixture
def figures() -> Figures:
    figures = Figures()
    figures.saw(summary(TRACE_ID, finding_count=7, cost_usd=1.0))
    figures.saw(summary("b", status=ERROR, error_count=2))
    figures.looked_into(whole(summary("b"), findings=["pii.credit_card"] * 4, errors=["timeout"]))
    figures.counted(Ledger(stored=1_234), 1.0)
    return figures


@pytest.fixture
def news() -> News:
    news = News(lambda: 42.0)
    news.looked_into(whole(summary(TRACE_ID), findings=["pii.credit_card"]))
    return news


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 30), (200, 60)])
def test_the_screen_has_the_key_figures(
    figures: Figures, news: News, width: int, height: int
) -> None:
    console = recorded(width, height)
    console.print(View(figures, news, ACCESS, 300).screen(42.0, width, height))
    text = console.export_text()
    assert len(text.rstrip("\n").split("\n")) <= height
    assert max(map(len, text.split("\n"))) <= width
    for shown in (
        "0:42 of 5:00", "1,234", "support-bot", "$1.250", "card number", "timeout",
        f"export BARTIZAN_API_KEY={ACCESS.key}", "export BARTIZAN_ENDPOINT=127.0.0.1:4317",
        f"bartizan trace {TRACE_ID} -v",
    ):  # fmt: skip
        assert shown in text, shown


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 12), (100, 30)])
def test_an_empty_screen_of_any_size_is_drawn(width: int, height: int) -> None:
    console = recorded(width, height)
    console.print(View(Figures(), News(lambda: 0.0), ACCESS, 0).screen(0.0, width, height))
    assert "BARTIZA" in console.export_text()


def test_without_a_terminal_a_line_has_the_figures(figures: Figures) -> None:
    assert line(figures, 65.0) == (
        "  1:05  1,234 spans/s  1,234 spans  2 traces  1 failed  7 findings  $1.250"
    )


@given(st.lists(st.integers(0, 10**6), max_size=80), st.integers(1, 60), st.integers(1, 5))
def test_a_chart_has_its_size(values: list[int], width: int, rows: int) -> None:
    lines = sparkline(values, width, rows)
    assert [len(one.plain) for one in lines] == [width] * rows


def test_a_chart_shows_more_as_more() -> None:
    assert [one.plain for one in sparkline([0, 4, 8, 16], 5, 2)] == ["    █", "  ▄██"]


def test_clocks_have_minutes_and_seconds() -> None:
    assert (clock(0), clock(61.9), clock(3_600)) == ("0:00", "1:01", "60:00")


def test_the_summary_has_the_key_figures(figures: Figures) -> None:
    console = recorded(100, 30)
    print_summary(console, figures, 61.0)
    text = console.export_text()
    assert "1,234 spans of 2 traces stored in 1:01, 0 rejected" in text
    assert "Redacted before storing: card number 4" in text
    assert "Errors: timeout 1" in text
