"""One look at a rule: all groups, the known ones too, and not too many."""

from tests.alerts.alerting_support import at, rule

from bartizan.alerts.alerting import alert_of
from bartizan.alerts.evaluating import Evaluated, GroupKey, evaluate, failed
from bartizan.alerts.rules import AlertRule
from bartizan.alerts.samples import Sample
from bartizan.alerts.snapshots import Snapshot
from bartizan.alerts.values import Level, State, fingerprint

BAD, GOOD = Sample.share(9, 10), Sample.share(0, 10)


class Series:
    """A rule that is looked at every minute."""

    def __init__(self, watched: AlertRule) -> None:
        self.rule, self.minute = watched, 0
        self.snapshots: dict[GroupKey, Snapshot] = {}

    def look(self, **samples: Sample) -> Evaluated:
        keyed: dict[GroupKey, Sample] = {(name,): sample for name, sample in samples.items()}
        made = evaluate(self.rule, keyed, self.snapshots, at(self.minute))
        self.minute += 1
        for group in made.forgotten:
            del self.snapshots[group]
        self.snapshots.update({one.group: one.after for one in made.evaluations})
        return made

    def states(self) -> dict[str, State]:
        return {group[0]: snapshot.state for group, snapshot in self.snapshots.items()}


def test_a_rule_without_groups_is_always_looked_at() -> None:
    made = evaluate(rule(), {}, {}, at(0))
    assert [(one.group, one.after.state) for one in made.evaluations] == [((), State.NO_DATA)]


def test_each_group_is_an_alert_of_its_own() -> None:
    series = Series(rule(group_by=["agent"]))
    series.look(a=BAD, b=GOOD)
    assert series.states() == {"a": State.FIRING, "b": State.INACTIVE}
    series.look(b=BAD)
    assert series.states() == {"a": State.NO_DATA, "b": State.FIRING}
    assert series.snapshots["a",].is_open


def test_ten_thousand_groups_are_capped_and_it_is_said() -> None:
    series = Series(rule(group_by=["user"], max_groups=50))
    many = {f"u{n:05}": Sample.share(0, n + 1) for n in range(10_000)}
    made = series.look(**many)
    assert (len(made.evaluations), made.cut) == (50, 9_950)
    assert "u09999" in series.states()


def test_what_fires_keeps_its_place_among_the_groups() -> None:
    series = Series(rule(group_by=["agent"], max_groups=2))
    series.look(a=BAD, b=GOOD)
    busy = Sample.share(0, 10_000)
    made = series.look(c=busy, d=busy)
    assert set(series.states()) == {"a", "c"}
    assert (made.cut, made.forgotten) == (1, (("b",),))


def test_groups_that_are_fine_without_data_are_forgotten() -> None:
    series = Series(rule(group_by=["agent"], no_data="ok"))
    series.look(a=GOOD, b=BAD)
    series.look()
    assert series.states() == {"b": State.RESOLVED}
    for _ in range(100):
        series.look()
    assert series.states() == {}


def test_a_group_that_went_missing_fires_for_a_day() -> None:
    watched = rule(group_by=["agent"], no_data="alert", interval="1h", window="1h")
    states = []
    snapshots: dict[GroupKey, Snapshot] = {}
    for hour in range(30):
        samples: dict[GroupKey, Sample] = {("a",): GOOD} if hour == 0 else {}
        made = evaluate(watched, samples, snapshots, at(60 * hour))
        snapshots = {one.group: one.after for one in made.evaluations}
        states.append([one.after.state for one in made.evaluations])
    assert states[1:24] == [[State.FIRING]] * 23
    assert states[24:26] == [[State.RESOLVED], []]


def test_a_failure_leaves_all_as_it_is() -> None:
    series = Series(rule(group_by=["agent"]))
    series.look(a=BAD, b=GOOD)
    made = failed(series.rule, series.snapshots, at(1))
    assert [one.after.state for one in made] == [State.ERROR] * 2
    assert [one.after.is_open for one in made] == [True, False]
    assert [one.group for one in failed(rule(), {}, at(0))] == [()]


def test_an_alert_has_labels_and_texts() -> None:
    watched = rule(
        group_by=["agent"], warning=0.05, labels={"team": "shop"}, runbook_url="https://run/1",
        where={"environments": ["prod"]},
        annotations={"summary": "{{ labels.agent }}: {{ value|percent }} of {{ samples }}"},
    )  # fmt: skip
    bad = evaluate(watched, {("a\n",): BAD}, {}, at(0)).evaluations[0]
    alert = alert_of(watched, "p1", bad)
    assert alert.labels == {
        "alertname": "error-rate", "project": "p1", "environment": "prod", "team": "shop",
        "agent": "a ", "severity": "critical",
    }  # fmt: skip
    assert alert.annotations == {"summary": "a : 90.0 % of 10", "runbook_url": "https://run/1"}
    assert (alert.active, alert.starts_at, alert.ends_at) == (True, at(0), None)
    without = {name: value for name, value in alert.labels.items() if name != "severity"}
    assert alert.fingerprint == fingerprint(without)


def test_the_end_of_an_alert_has_the_labels_of_its_beginning() -> None:
    watched = rule()
    bad = evaluate(watched, {(): BAD}, {}, at(0)).evaluations[0]
    good = evaluate(watched, {(): GOOD}, {(): bad.after}, at(1)).evaluations[0]
    fired, over = alert_of(watched, "p", bad), alert_of(watched, "p", good)
    assert (over.labels, over.fingerprint) == (fired.labels, fired.fingerprint)
    assert (over.active, over.ends_at, over.level) == (False, at(1), Level.OK)
