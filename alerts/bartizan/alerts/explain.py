"""One evaluation as a sentence for somebody who was woken by it, or was not."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from bartizan.alerts.conditions import Because, Judgement, Outcome
from bartizan.alerts.evaluating import Evaluation
from bartizan.alerts.machine import FLAP_CALM, STALE, Kind
from bartizan.alerts.quieting import Held, Why
from bartizan.alerts.rules import AlertRule, Compare, NoData
from bartizan.alerts.template_filters import with_unit
from bartizan.alerts.values import Level, State
from bartizan.plugins.durations import format_duration
from bartizan.plugins.notification import Reason


def explain(rule: AlertRule, evaluation: Evaluation, told: Iterable[Reason | Held] = ()) -> str:
    """Returns what an evaluation saw, what that means, and who was told or why nobody was.

    `told` is what the dispatcher made of the alert: the reason of a notification, or what held it.
    """
    sentences = [
        f"{_when(evaluation)}{_group(rule, evaluation)}: {_seen(rule, evaluation)}.",
        f"{_state(rule, evaluation)}.",
        *(f"{_told(one)}." for one in told),
    ]
    return " ".join(sentences)


def _when(evaluation: Evaluation) -> str:
    start = evaluation.at - evaluation.window
    return f"{start:%Y-%m-%d %H:%M}-{evaluation.at:%H:%M} UTC, rule {evaluation.rule}"


def _group(rule: AlertRule, evaluation: Evaluation) -> str:
    pairs = zip(rule.group_by, evaluation.group, strict=False)
    told = ", ".join(f"{name}={value}" for name, value in pairs)
    return f" ({told})" if told else ""


def _seen(rule: AlertRule, evaluation: Evaluation) -> str:
    judgement = evaluation.judgement
    if judgement.outcome is Outcome.ERROR:
        return "the evaluation failed, so nothing is known of this window"
    if judgement.value is None:
        return _missing(rule, judgement)
    value = f"{_what(rule)} was {with_unit(judgement.value, rule.unit)}"
    if judgement.because is Because.TOO_FEW:
        least = rule.min_samples
        return f"{value}, but from only {judgement.samples} samples; the rule wants {least}"
    threshold = with_unit(judgement.threshold, rule.unit)
    return f"{value} from {_samples(judgement)}, {_verdict(rule, judgement, threshold)}"


def _what(rule: AlertRule) -> str:
    match rule.compare:
        case Compare.RATIO:
            return f"{rule.metric} / {rule.divisor}"
        case Compare.LAST_WEEK:
            return f"the change of {rule.metric} against a week before"
        case Compare.ANOMALY:
            return f"the anomaly score of {rule.metric}"
    return rule.metric


def _samples(judgement: Judgement) -> str:
    return "1 sample" if judgement.samples == 1 else f"{judgement.samples:,} samples"


def _verdict(rule: AlertRule, judgement: Judgement, threshold: str) -> str:
    beyond, back = ("over", "under") if rule.operator.upward else ("under", "over")
    match judgement.because:
        case Because.CHANCE:
            bound = with_unit(judgement.bound, rule.unit)
            return (
                f"{beyond} the threshold {threshold}, but so few may be chance: "
                f"with 95 % certainty it is only {beyond} {bound}"
            )
        case Because.NOT_RECOVERED:
            wanted = with_unit(rule.recovery, rule.unit) if rule.recovery is not None else threshold
            return f"{back} the threshold {threshold}, but not yet back at {wanted}"
        case Because.BREACHED:
            return f"{beyond} the {judgement.level} threshold {threshold}"
    return f"within the threshold {threshold}"


def _missing(rule: AlertRule, judgement: Judgement) -> str:
    match judgement.because:
        case Because.NO_DIVISOR:
            return f"there was no {rule.divisor} to divide by, so all stays as it is"
        case Because.NO_LAST_WEEK:
            return "there are too few data of the week before, so all stays as it is"
        case Because.LEARNING:
            return "the detector is still learning, so all stays as it is"
    meant = {
        NoData.NO_DATA: "which is no zero",
        NoData.OK: "which the rule takes as fine",
        NoData.ALERT: "which the rule takes as trouble",
        NoData.KEEP_LAST: "so all stays as it is, as the rule says",
    }
    return f"there were no data, {meant[rule.no_data]}"


def _state(rule: AlertRule, evaluation: Evaluation) -> str:
    before, after = evaluation.before, evaluation.after
    kinds = {event.kind: event for event in evaluation.events}
    if Kind.FIRED in kinds:
        lasted = _lasting(before.pending_at, evaluation.at)
        flapping = "; it fires often, so it will stay until it is calm for " + format_duration(
            FLAP_CALM
        )
        return f"The alert fires at level {after.level}{lasted}{flapping * after.flapping}"
    if Kind.RESOLVED in kinds:
        return _end(kinds[Kind.RESOLVED].why, kinds[Kind.RESOLVED].by)
    if Kind.WORSE in kinds or Kind.BETTER in kinds:
        return f"The alert goes from {before.level} to {after.level}"
    if Kind.CALMED in kinds:
        return "The trouble was over before the alert fired"
    return _lasts(rule, evaluation)


def _end(why: str, by: str) -> str:
    if why == STALE:
        return "The alert is closed, as there have been no data for too long"
    return f"The alert was resolved by {by}" if by else "The alert is resolved"


def _lasts(rule: AlertRule, evaluation: Evaluation) -> str:
    after = evaluation.after
    match after.state:
        case State.PENDING:
            held = _spoken(after.critical_s if after.seen is Level.CRITICAL else after.warning_s)
            return f"The alert is pending: it has lasted {held} of {format_duration(rule.for_)}"
        case State.FIRING if after.seen is Level.OK:
            keep = max(rule.keep_firing_for, FLAP_CALM * after.flapping)
            calm = f"{_spoken(after.calm_s)} of {format_duration(keep)}"
            return f"The alert goes on firing until it is calm for long enough: {calm} so far"
        case State.FIRING:
            return f"The alert goes on firing at level {after.level}"
        case State.NO_DATA | State.ERROR:
            state = "without data" if after.state is State.NO_DATA else "in error"
            open_ = "; what fires goes on" if after.is_open else ""
            return f"The alert is {state}{open_}"
        case State.RESOLVED:
            return "The alert stays resolved"
    return "The alert is inactive"


def _lasting(since: datetime | None, now: datetime) -> str:
    if since is None or now <= since:
        return ""
    return f", {format_duration(now - since)} after the trouble was first seen"


def _spoken(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))


def _told(told: Reason | Held) -> str:
    if isinstance(told, Reason):
        return f"A notification went out: {told}"
    said = {
        Why.WAITING: "Nobody is told yet: the group waits for more alerts",
        Why.TOLD: "Nobody is told again: the channels know",
        Why.ACKNOWLEDGED: "Nobody is told again: somebody took it up",
        Why.SILENCED: f"Nobody is told: the silence {told.by} holds",
        Why.INHIBITED: f"Nobody is told: another alert makes it quiet ({told.by})",
        Why.MUTED: f"Nobody is told now: the mute window {told.by} holds",
        Why.INACTIVE: f"Nobody is told now: it is outside of the active window {told.by}",
        Why.NO_CHANNEL: "Nobody is told: its route has no channel",
        Why.ENDED_EARLY: "Nobody was told: it was over before the group had waited",
    }
    return said[told.why]
