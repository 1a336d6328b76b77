"""The state machine: by example, against a tiny model, over restarts, gaps and jumps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.alerting_support import START, at

from bartizan.alerts.conditions import FAILED, Because, Judgement, Outcome
from bartizan.alerts.machine import FLAP_CALM, Kind, Timing, acknowledge, resolve, step
from bartizan.alerts.snapshots import Snapshot
from bartizan.alerts.values import Level, State
from bartizan.plugins.errors import FailedPrecondition

NO_DATA = Judgement(Outcome.NO_DATA, Level.OK, Because.NO_DATA)
KEEP = Judgement(Outcome.KEEP, Level.OK, Because.TOO_FEW)
LOOKS = {
    ".": Judgement(Outcome.LEVEL, Level.OK, Because.WITHIN, 0.0, 0.1),
    "w": Judgement(Outcome.LEVEL, Level.WARNING, Because.BREACHED, 0.1, 0.05),
    "c": Judgement(Outcome.LEVEL, Level.CRITICAL, Because.BREACHED, 0.2, 0.1),
    "?": NO_DATA,
    "k": KEEP,
    "e": FAILED,
}
STATES = {
    State.INACTIVE: "i", State.PENDING: "p", State.FIRING: "F", State.RESOLVED: "r",
    State.NO_DATA: "n", State.ERROR: "e",
}  # fmt: skip
FIVE = Timing(hold_s=300, keep_s=120)


def run(
    timing: Timing, looks: str, start: Snapshot | None = None, minute: float = 0
) -> tuple[str, Snapshot, list[Kind]]:
    """Returns the states of looks a minute apart, the last snapshot, and what happened."""
    snapshot, states, kinds = start or Snapshot(), "", []
    for index, look in enumerate(looks):
        snapshot, events = step(timing, snapshot, LOOKS[look], at(minute + index))
        states += STATES[snapshot.state]
        kinds += [event.kind for event in events]
    return states, snapshot, kinds


@pytest.mark.parametrize(
    ("timing", "looks", "states"),
    [
        (Timing(), "..c..", "iiFrr"),
        (FIVE, "ccccccc...", "pppppFFFFr"),
        (FIVE, "cccc.ccccc", "ppppippppp"),
        (FIVE, "cccwwccc", "pppppFFF"),
        (Timing(keep_s=180), "c...c....", "FFFFFFFFr"),
        # Too little to say: the clocks stand still, and nothing is reset.
        (FIVE, "cckcccc", "ppppppF"),
        (FIVE, "cceecccc", "ppeepppF"),
        # No data: what was only pending is as if it had not been.
        (FIVE, "ccc?ccccc", "pppnppppp"),
        (Timing(), "c???.", "Fnnnr"),
        (Timing(keep_s=120), "c.??..", "FFnnFr"),
        (Timing(), "ceee.", "Feeer"),
        (Timing(), "ckkk.", "FFFFr"),
        (Timing(), "?.", "ni"),
        (Timing(), "c." + "." * 16, "F" + "r" * 15 + "ii"),
    ],
)
def test_states(timing: Timing, looks: str, states: str) -> None:
    assert run(timing, looks)[0] == states


def test_levels_have_clocks_of_their_own() -> None:
    _, snapshot, kinds = run(FIVE, "wwwccc")
    assert (snapshot.state, snapshot.level) == (State.FIRING, Level.WARNING)
    _, snapshot, more = run(FIVE, "ccc", snapshot, 6)
    assert snapshot.level is Level.CRITICAL
    assert [*kinds, *more] == [Kind.PENDING, Kind.FIRED, Kind.WORSE]
    _, snapshot, more = run(FIVE, "w", snapshot, 9)
    assert (snapshot.level, more) == (Level.WARNING, [Kind.BETTER])


def test_times_of_an_alert() -> None:
    _, snapshot, _ = run(FIVE, "..cccccc...")
    assert snapshot.starts_at == at(2)
    assert snapshot.fired_at == at(7)
    assert snapshot.ends_at == at(10)


def test_a_gap_counts_neither_for_nor_against() -> None:
    """The database is gone for five minutes while an alert is pending."""
    _, before, _ = run(FIVE, "ccc")
    states, _, _ = run(FIVE, "ccc", before, 8)
    assert states == "ppF"


def test_nothing_resolves_over_a_gap() -> None:
    _, before, _ = run(Timing(keep_s=600), "c.")
    after, events = step(Timing(keep_s=600), before, LOOKS["."], at(60))
    assert (after.state, events) == (State.FIRING, ())
    assert after.calm_s == 60


def test_a_look_that_is_late_counts_in_full() -> None:
    snapshot, _ = step(FIVE, Snapshot(), LOOKS["c"], at(0))
    snapshot, _ = step(FIVE, snapshot, LOOKS["c"], at(1.9))
    assert snapshot.critical_s == pytest.approx(114)


def test_a_clock_that_jumps_fires_nothing() -> None:
    snapshot, _ = step(FIVE, Snapshot(), LOOKS["c"], at(0))
    for minute in (600, 2, 700, -60):
        snapshot, _ = step(FIVE, snapshot, LOOKS["c"], at(minute))
        assert snapshot.state is State.PENDING
    assert snapshot.critical_s == 120


def test_flapping_is_one_alert() -> None:
    states, snapshot, kinds = run(Timing(), "c." * 6)
    assert kinds.count(Kind.FIRED) == 3
    assert kinds.count(Kind.FLAPPING) == 1
    assert states == "FrFrFFFFFFFF"
    assert snapshot.flapping
    calm = "." * (int(FLAP_CALM.total_seconds()) // 60 + 1)
    states, snapshot, kinds = run(Timing(), calm, snapshot, 12)
    assert states.index("r") == FLAP_CALM.total_seconds() // 60 - 1
    assert kinds == [Kind.RESOLVED]
    assert not snapshot.flapping


def test_fires_of_long_ago_are_no_flapping() -> None:
    snapshot = Snapshot()
    for hour in range(6):
        _, snapshot, kinds = run(Timing(), "c.", snapshot, 60 * hour)
        assert kinds == [Kind.FIRED, Kind.RESOLVED]


def test_acknowledged_until_it_is_over() -> None:
    _, snapshot, _ = run(Timing(), "c")
    taken, events = acknowledge(snapshot, "ada", at(1))
    assert (taken.acknowledged_by, taken.acknowledged_at) == ("ada", at(1))
    assert (events[0].kind, events[0].by) == (Kind.ACKNOWLEDGED, "ada")
    _, after, _ = run(Timing(), "c.c", taken, 1)
    assert (after.state, after.acknowledged_by) == (State.FIRING, "")


def test_resolved_by_hand_it_has_to_last_again() -> None:
    _, snapshot, _ = run(FIVE, "cccccc")
    closed, events = resolve(snapshot, "ada", at(6))
    assert (closed.state, closed.ends_at, events[0].by) == (State.RESOLVED, at(6), "ada")
    assert run(FIVE, "cccccc", closed, 7)[0] == "pppppF"


def test_what_is_not_open_cannot_be_taken_or_closed() -> None:
    _, snapshot, _ = run(FIVE, "c")
    for act in (acknowledge, resolve):
        with pytest.raises(FailedPrecondition):
            act(snapshot, "ada", at(1))


def test_a_group_that_is_gone_is_closed() -> None:
    timing = Timing(interval_s=3_600, stale_s=86_400)
    snapshot, _ = step(timing, Snapshot(), LOOKS["c"], START)
    states = []
    for hour in range(1, 26):
        snapshot, events = step(timing, snapshot, NO_DATA, START + timedelta(hours=hour))
        states.append(snapshot.state)
    assert states[:23] == [State.NO_DATA] * 23
    assert states[23] is State.RESOLVED
    assert events[0].kind is Kind.NO_DATA


@dataclass
class Model:
    """What the machine should do, told as briefly as can be: counts looks instead of time."""

    hold: int
    keep: int
    bad: int = -1
    good: int = 0
    firing: bool = False

    def look(self, bad: bool) -> bool:
        if bad:
            self.bad, self.good = self.bad + 1, -1
            self.firing = self.firing or self.bad >= self.hold
        else:
            self.bad, self.good = -1, self.good + 1
            self.firing = self.firing and self.good < self.keep
        return self.firing


@given(st.lists(st.sampled_from("..cke"), max_size=40), st.integers(0, 4), st.integers(0, 4))
def test_the_machine_does_what_the_model_says(looks: list[str], hold: int, keep: int) -> None:
    model, snapshot = Model(hold, keep), Snapshot()
    timing = Timing(hold * 60, keep * 60)
    for minute, look in enumerate(looks):
        snapshot, _ = step(timing, snapshot, LOOKS[look], at(minute))
        expected = model.look(look == "c") if look in ".c" else model.firing
        if snapshot.flapping:
            return
        assert snapshot.is_open is expected


TIMINGS = st.builds(Timing, st.sampled_from([0, 60, 150]), st.sampled_from([0, 60, 150]))
STEPS = st.lists(st.tuples(st.sampled_from(list(LOOKS)), st.integers(-3_000, 100_000)), max_size=25)


def _follow(
    timing: Timing, steps: Sequence[tuple[str, int]], restarts: bool
) -> tuple[Snapshot, list[tuple[datetime, Kind]]]:
    snapshot, now, happened = Snapshot(), START, []
    for look, seconds in steps:
        now += timedelta(seconds=seconds)
        if restarts:
            snapshot = Snapshot.from_json(json.loads(json.dumps(snapshot.to_json())))
        snapshot, events = step(timing, snapshot, LOOKS[look], now)
        happened += [(event.at, event.kind) for event in events]
    return snapshot, happened


@given(TIMINGS, STEPS)
def test_a_restart_changes_nothing(timing: Timing, steps: list[tuple[str, int]]) -> None:
    assert _follow(timing, steps, restarts=True) == _follow(timing, steps, restarts=False)


@given(TIMINGS, STEPS)
def test_what_holds_whatever_the_clock_does(timing: Timing, steps: list[tuple[str, int]]) -> None:
    snapshot, now = Snapshot(), START
    for look, seconds in steps:
        now += timedelta(seconds=seconds)
        before = snapshot
        snapshot, events = step(timing, before, LOOKS[look], now)
        kinds = {event.kind for event in events}
        assert snapshot.is_open or snapshot.state is not State.FIRING
        assert not snapshot.is_open or snapshot.state in (State.FIRING, State.NO_DATA, State.ERROR)
        if look in "?ke":
            assert snapshot.is_open is before.is_open
        if before.is_open and not snapshot.is_open:
            assert Kind.RESOLVED in kinds
        if snapshot.is_open and not before.is_open:
            assert Kind.FIRED in kinds
        for name in ("warning_s", "critical_s", "calm_s", "blind_s"):
            grown = getattr(snapshot, name) - getattr(before, name)
            assert grown <= max(0, seconds) + 1e-6
            assert grown <= 120 + 1e-6


def test_keys_of_other_versions_are_ignored() -> None:
    assert Snapshot.from_json({"state": "firing", "new": 1}).state is State.FIRING
