"""The tree of routes."""

from typing import Any

from bartizan.alerts.grouping import Router, notification_key
from bartizan.alerts.routes import DEFAULT_GROUP_WAIT, Route
from bartizan.plugins.config import parse_config
from bartizan.plugins.yaml_text import read_yaml

TREE = """
channels: [all]
group_by: [alertname]
repeat_interval: 2h
routes:
- matchers: [severity=critical]
  channels: [pager]
  continue: true
- matchers: [severity=critical]
  channels: [chat]
  group_by: [agent]
  routes:
  - matchers: [agent=shop]
    channels: [shop]
    group_wait: 0s
- matchers: [severity=warning]
  group_by: ['...']
  channels: []
"""


def router(text: str = TREE) -> Router:
    document: Any = read_yaml(text, "route")
    return Router(parse_config(Route, document, "route"))


def channels(**labels: str) -> list[tuple[str, ...]]:
    return [way.channels for way in router().ways(labels)]


def test_the_deepest_that_match() -> None:
    assert channels(severity="info") == [("all",)]
    assert channels(severity="warning") == [()]
    assert channels(severity="critical") == [("pager",), ("chat",)]
    assert channels(severity="critical", agent="shop") == [("pager",), ("shop",)]


def test_what_is_not_said_is_inherited() -> None:
    pager, shop = router().ways({"severity": "critical", "agent": "shop"})
    assert pager.group_wait == DEFAULT_GROUP_WAIT
    assert shop.group_wait.total_seconds() == 0
    assert shop.group_by == ("agent",)
    assert shop.repeat_interval.total_seconds() == 7_200


def test_groups() -> None:
    labels = {"alertname": "a", "severity": "critical", "agent": "shop"}
    pager, shop = router().groups(labels)
    assert (pager.labels, shop.labels) == ({"alertname": "a"}, {"agent": "shop"})
    [warning] = router().groups({**labels, "severity": "warning"})
    assert warning.labels == {**labels, "severity": "warning"}
    again = router().groups({**labels, "tool": "x"})
    assert [group.key for group in again] == [pager.key, shop.key]


def test_every_route_has_a_key_and_can_be_found_by_it() -> None:
    sorter = router()
    for labels in ({"severity": "critical", "agent": "shop"}, {"severity": "warning"}, {}):
        for group in sorter.groups(labels):
            assert sorter.group_at(group.key) == group
    assert len({group.key for group in sorter.groups({"severity": "critical"})}) == 2
    assert sorter.group_at("{}/{gone}:{}") is None


def test_other_timing_keeps_the_groups() -> None:
    labels = {"severity": "critical", "agent": "shop"}
    slower = router(TREE.replace("2h", "3h").replace("[pager]", "[phone]"))
    assert [one.key for one in slower.groups(labels)] == [
        one.key for one in router().groups(labels)
    ]


def test_a_key_of_notifications() -> None:
    key = notification_key("shop", "{}:{}")
    assert len(key) == 64
    assert key != notification_key("shop2", "{}:{}")
