"""An alerts file: read as a whole, refused with one sentence."""

import pytest

from bartizan.alerts.loading import Known, load_alerts
from bartizan.plugins.errors import ConfigError

WHOLE = r"""
rules:
- id: error-rate
  metric: error_rate
  critical: 0.1
  labels: {team: shop}
channels:
- {id: slack, plugin: slack, config: {webhook_url_file: /run/slack}}
- {id: pager, plugin: pagerduty, fallback: slack}
mute_windows:
- {id: nights, time_zone: Europe/Berlin, times: [{start: 22:00, end: 07:00}]}
inhibitions:
- {id: outage, source_matchers: [alertname=outage], target_matchers: [severity!=critical]}
silences:
- id: work
  matchers: ['agent=~shop-.*', team=shop]
  starts_at: 2026-03-02T12:00:00+01:00
  ends_at: 2026-03-02T14:00:00+01:00
  comment: We move the database.
route:
  channels: [slack]
  group_by: [alertname, team]
  routes:
  - matchers: [severity=critical]
    channels: [pager]
    continue: true
    repeat_interval: 1h
    escalation: [{after: 15m, channels: [slack]}]
  - matchers: [severity=warning]
    mute_windows: [nights]
"""


def message(text: str, known: Known | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_alerts(text, "alerts.yaml", known)
    assert caught.value.message.startswith("alerts.yaml: ")
    return caught.value.message


def test_a_whole_file() -> None:
    document = load_alerts(WHOLE)
    assert document.silences[0].starts_at.isoformat() == "2026-03-02T11:00:00+00:00"
    assert document.route is not None
    assert document.route.routes[0].continue_
    again = load_alerts(str(document.document))
    assert again == document


def test_nothing_is_a_document() -> None:
    assert load_alerts("") == load_alerts("{}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "this is not YAML"),
        ("[]", "must be a mapping"),
        ("rule: []", "'rule' is not a known key (did you mean 'rules'?)"),
        ("rules: [{id: a, metric: cost, critical: 1}, {id: a, metric: cost, critical: 1}]",
         "two rules have the id 'a'"),
        ("route: {channels: [slak]}\nchannels: [{id: slack, plugin: slack}]",
         "route: there is no channel 'slak' (did you mean 'slack'?)"),
        ("route: {channels: [], routes: [{mute_windows: [night]}]}\n"
         "mute_windows: [{id: nights, times: [{}]}]",
         "there is no mute window 'night' (did you mean 'nights'?)"),
        ("route: {channels: [], routes: [{matchers: [severty=critical]}]}",
         "route: there is no label 'severty' (did you mean 'severity'?)"),
        ("route: {channels: [], group_by: [alertnam]}", "there is no label 'alertnam'"),
        ("route: {}", "the root needs 'channels'"),
        ("route: {channels: [], matchers: [agent=x]}", "so it has no matchers"),
        ("route: {channels: [], mute_windows: [x]}", "the root has no windows"),
        ("route: {channels: [], contnue: true}", "'route.contnue' is not a known key"),
        ("route: {channels: [], routes: [{matchers: ['agent=~(']}]}", "not an expression of RE2"),
        ("route: {channels: [], escalation: [{after: 9m, channels: [a]}, {after: 5m, "
         "channels: [a]}]}", "come one after the other"),
        ("route: {channels: [], group_by: ['...', agent]}", "stands alone"),
        ("channels: [{id: a, plugin: x, fallback: a}]", "'fallback' is the channel itself"),
        ("channels: [{id: a, plugin: x, fallback: b}]", "there is no channel 'b'"),
        ("silences: [{id: a, matchers: [agent=x], starts_at: 2026-03-02T12:00:00Z, "
         "ends_at: 2026-03-02T11:00:00Z, comment: x}]", "'ends_at' is not after 'starts_at'"),
        ("silences: [{id: a, matchers: [agent=x], starts_at: 2026-03-02 12:00:00, "
         "ends_at: 2026-03-02T13:00:00Z, comment: x}]", "timezone"),
        ("silences: [{id: a, matchers: ['agent=~.*'], starts_at: 2026-03-02T12:00:00Z, "
         "ends_at: 2026-03-02T13:00:00Z, comment: x}]", "let every alert through"),
        ("silences: [{id: a, matchers: [3], starts_at: 2026-03-02T12:00:00Z, "
         "ends_at: 2026-03-02T13:00:00Z, comment: x}]", "must be a matcher such as"),
        ("inhibitions: [{id: a, source_matchers: ['agent!=x'], target_matchers: [agent=y]}]",
         "'source_matchers' let every alert through"),
        ("a: 2026-02-30", "this is not YAML"),
    ],
)  # fmt: skip
def test_refuses(text: str, said: str) -> None:
    assert said in message(text)


def test_names_may_be_known_from_elsewhere() -> None:
    text = "route: {channels: [slack], routes: [{matchers: [team=x]}]}"
    assert "there is no channel 'slack'" in message(text)
    known = Known(channels=frozenset({"slack"}))
    assert "there is no label 'team'" in message(text, known)
    assert load_alerts(text, "x", Known(known.channels, labels=frozenset({"team"}))).route
    assert load_alerts(text, "x", Known(known.channels, labels=None)).route


def test_a_secret_is_not_repeated() -> None:
    text = "channels: [{id: slack, plugin: slack, cnfig: {token: xoxb-secret}}]"
    assert "secret" not in message(text)


def test_a_tree_is_bounded() -> None:
    deep = "{channels: [], routes: [" + "{routes: [" * 9 + "]}" * 9 + "]}"
    assert "8 levels" in message(f"route: {deep}")
    many = ", ".join("{}" for _ in range(501))
    assert "500 routes" in message(f"route: {{channels: [], routes: [{many}]}}")
