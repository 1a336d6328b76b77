"""What a tired person reads."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.alerts.alerting_support import at, rule

from bartizan.alerts.evaluating import Evaluation, evaluate, failed
from bartizan.alerts.explain import explain
from bartizan.alerts.machine import resolve
from bartizan.alerts.quieting import Held, Why
from bartizan.alerts.rules import AlertRule
from bartizan.alerts.samples import Sample
from bartizan.alerts.snapshots import Snapshot
from bartizan.plugins.notification import Reason

BAD, GOOD = Sample.share(90, 1_000), Sample.share(9, 1_000)


def last(watched: AlertRule, samples: Sequence[Sample | None]) -> Evaluation:
    """Returns the evaluation of the last of some windows."""
    group = tuple("shop" for _ in watched.group_by)
    snapshot = Snapshot()
    for minute, sample in enumerate(samples):
        given = {} if sample is None else {group: sample}
        [made] = evaluate(watched, given, {group: snapshot}, at(minute)).evaluations
        snapshot = made.after
    return made


@pytest.mark.parametrize(
    ("keys", "samples", "said"),
    [
        ({"for": "5m"}, [BAD, BAD],
         "2026-03-02 11:56-12:01 UTC, rule error-rate: error_rate was 9.0 % from 1,000 samples, "
         "over the critical threshold 5.0 %. The alert is pending: it has lasted 1m of 5m."),
        ({"group_by": ["agent"]}, [BAD],
         "rule error-rate (agent=shop): error_rate was 9.0 % from 1,000 samples, over the critical "
         "threshold 5.0 %. The alert fires at level critical."),
        ({"for": "2m"}, [BAD] * 3,
         "The alert fires at level critical, 2m after the trouble was first seen."),
        ({}, [BAD, GOOD],
         "error_rate was 0.9 % from 1,000 samples, within the threshold 5.0 %. "
         "The alert is resolved."),
        ({"keep_firing_for": "10m"}, [BAD, GOOD, GOOD],
         "The alert goes on firing until it is calm for long enough: 1m of 10m so far."),
        ({"recovery": 0.005}, [BAD, GOOD],
         "under the threshold 5.0 %, but not yet back at 0.5 %. "
         "The alert goes on firing at level critical."),
        ({"wilson": True}, [Sample.share(1, 10)],
         "error_rate was 10.0 % from 10 samples, over the threshold 5.0 %, but so few may be "
         "chance: with 95 % certainty it is only over 1.8 %. The alert is inactive."),
        ({"min_samples": 20}, [Sample.share(1, 1)],
         "error_rate was 100.0 %, but from only 1 samples; the rule wants 20."),
        ({}, [None], "there were no data, which is no zero. The alert is without data."),
        ({}, [BAD, None], "The alert is without data; what fires goes on."),
        ({"no_data": "alert"}, [None],
         "there were no data, which the rule takes as trouble. The alert fires at level critical."),
        ({"for": "5m"}, [BAD, GOOD], "The trouble was over before the alert fired."),
        ({"warning": 0.01}, [Sample.share(2, 100), BAD], "The alert goes from warning to critical"),
        ({"metric": "latency_p95", "critical": 2_000}, [Sample(4_200.0)],
         "latency_p95 was 4200 ms from 1 sample, over the critical threshold 2000 ms."),
        ({"metric": "cost", "compare": "last_week", "critical": 0.5},
         [Sample(30, last_week=Sample(10))],
         "the change of cost against a week before was 200.0 % from 1 sample, over"),
        ({"metric": "cost", "compare": "last_week", "critical": 0.5}, [Sample(30)],
         "there are too few data of the week before, so all stays as it is."),
        ({"metric": "tokens", "compare": "ratio", "divisor": "request_count", "critical": 900},
         [Sample(5_000, divisor=2)],
         "tokens / request_count was 2,500 from 1 sample, over the critical threshold 900."),
    ],
)  # fmt: skip
def test_sentences(keys: dict[str, Any], samples: list[Sample | None], said: str) -> None:
    watched = rule(**{"critical": 0.05, **keys})
    text = explain(watched, last(watched, samples))
    assert said in text
    assert text.endswith(".")


def test_who_was_told() -> None:
    watched = rule()
    made = last(watched, [BAD])
    told = explain(watched, made, [Reason.FIRST])
    assert told.endswith("A notification went out: first notification.")
    held = explain(watched, made, [Held("f", Why.SILENCED, "work")])
    assert held.endswith("Nobody is told: the silence work holds.")
    for why in Why:
        assert "Nobody" in explain(watched, made, [Held("f", why)])


def test_failures_and_people() -> None:
    watched = rule()
    before = last(watched, [Sample.share(9, 10)]).after
    [made] = failed(watched, {(): before}, at(1))
    assert "the evaluation failed, so nothing is known of this window" in explain(watched, made)
    closed, events = resolve(before, "ada", at(2))
    by_hand = made._replace(after=closed, events=events)
    assert "The alert was resolved by ada." in explain(watched, by_hand)
