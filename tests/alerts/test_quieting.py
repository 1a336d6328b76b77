"""Silences, inhibitions and windows."""

from datetime import timedelta

from tests.alerts.alerting_support import START, alert, at

from bartizan.alerts.grouping import Way
from bartizan.alerts.mute_windows import MuteWindow, TimeRange
from bartizan.alerts.quieting import Held, Quieting, Why
from bartizan.alerts.silences import Inhibition, Silence
from bartizan.alerts.values import State

SILENCE = Silence.model_validate(
    {"id": "s", "matchers": ["agent=shop"], "starts_at": at(0), "ends_at": at(10), "comment": "x"}
)
OUTAGE = Inhibition.model_validate(
    {"id": "i", "source_matchers": ["severity=critical"], "target_matchers": ["severity=~.+"],
     "equal": ["agent"]}
)  # fmt: skip


def test_a_silence_has_a_beginning_and_an_end() -> None:
    quiet, shop = Quieting([SILENCE]), alert(agent="shop")
    assert quiet.held(shop, at(0)) == Held(shop.fingerprint, Why.SILENCED, "s")
    assert quiet.held(shop, at(-1)) is None
    assert quiet.held(shop, at(10)) is None
    assert quiet.held(alert(agent="news"), at(0)) is None


def test_a_worse_alert_makes_others_quiet() -> None:
    source, target = alert("outage", agent="a"), alert("slow", "warning", agent="a")
    other = alert("slow", "warning", agent="b")
    quiet = Quieting(inhibitions=[OUTAGE], alerts=[source, target, other])
    assert quiet.held(target, START) == Held(
        target.fingerprint, Why.INHIBITED, f"i/{source.fingerprint}"
    )
    assert quiet.held(other, START) is None
    # A source that is a target, too, is not made quiet by its like.
    assert quiet.held(source, START) is None
    assert quiet.held(alert("outage2", agent="a"), START) is None


def test_an_alert_that_is_over_makes_nobody_quiet() -> None:
    source = alert("outage", agent="a", state=State.RESOLVED)
    target = alert("slow", "warning", agent="a")
    assert Quieting(inhibitions=[OUTAGE], alerts=[source, target]).held(target, START) is None


def test_windows_of_a_route() -> None:
    noon = MuteWindow(id="noon", times=(TimeRange(start=12 * 60, end=13 * 60),))
    quiet, hour = Quieting(windows=[noon]), timedelta(hours=1)
    muted, active = Way(mute_windows=("noon",)), Way(active_windows=("noon",))
    assert quiet.closed(muted, START) == (Why.MUTED, "noon")
    assert quiet.closed(muted, START + hour) is None
    assert quiet.closed(active, START) is None
    assert quiet.closed(active, START + hour) == (Why.INACTIVE, "noon")
    # A window that is gone keeps nobody in the dark.
    assert quiet.closed(Way(active_windows=("gone",)), START) is None
