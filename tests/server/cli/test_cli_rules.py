"""Rules and findings: read, stopped, tried and labelled."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.server.cli.conftest import Command
from tests.server.cli.fake_rules import rule
from tests.server.cli.fake_server import FakeServer

from bartizan.server.cli.rule_text import as_yaml
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

CARDS: dict[str, Any] = {
    "config": {"x": {"z": 1, "id": "a"}, "list": ["b", "a"]},
    "mode": "shadow",
    "description": "Two\nlines",
    "plugin": "pii",
    "id": "cards",
}
COLUMNS = ["Id", "Of", "State", "Action", "Looks", "with", "Version", "Changed", "By", "key"]
FOUND = common_pb2.Finding(
    category="pii.credit_card", score=0.9, field="input[0].content", start=4, end=8
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cards.yaml"
    path.write_text(as_yaml(CARDS))
    return path


@pytest.fixture
def stocked(server: FakeServer) -> FakeServer:
    """A server with a rule of the project that watches."""
    server.rules._keep(rule(CARDS))
    return server


def test_rules_are_listed(online: Command, stocked: FakeServer) -> None:
    stocked.rules.own["cards"].problem = "its plugin is not installed"
    done = online("rules", "list")
    titles, cards, pii = done.out.splitlines()
    assert titles.split() == COLUMNS
    assert cards.split()[:5] == ["cards", "project", "shadow", "flag", "pii"]
    assert cards.split()[-1] == "k1"
    assert pii.split()[:5] == ["pii", "server", "enforce", "redact", "pii"]
    assert done.err == "! cards is not in force: its plugin is not installed\n"
    assert [one["origin"] for one in online("rules", "list", "--json").lines] == [
        "RULE_ORIGIN_PROJECT",
        "RULE_ORIGIN_SERVER",
    ]


def test_a_rule_is_printed_as_apply_takes_it(
    online: Command, stocked: FakeServer, tmp_path: Path
) -> None:
    done = online("rules", "get", "cards")
    assert done.out.startswith(
        "rules:\n  - id: cards\n    description: |-\n      Two\n      lines\n    plugin: pii\n"
        "    config:\n      list:\n        - b\n        - a\n"
        "      x:\n        id: a\n        z: 1\n"
    )
    assert yaml.safe_load(done.out) == {"rules": [CARDS]}
    (tmp_path / "x.yaml").write_text(done.out)
    assert online("apply", "-f", tmp_path, "--check").code == 0
    [told] = online("rules", "get", "cards", "--json").lines
    assert told["document"]["id"] == "cards"
    assert online("rules", "get", "gone").err == "bartizan: There is no such rule.\n"


def test_what_a_rule_was(online: Command, stocked: FakeServer) -> None:
    stocked.rules._keep(rule({**CARDS, "mode": "enforce"}, paused=True))
    stocked.rules.past.append(rule({"id": "cards"}, deleted=True, version="v0"))
    titles, *lines = online("rules", "versions", "cards").out.splitlines()
    assert titles.split() == ["Changed", "Version", "State", "Action", "By", "key"]
    assert [line.split()[-3] for line in lines[1:]] == ["paused", "shadow"]
    assert "deleted" in lines[0]
    version = stocked.rules.past[0].version
    assert "mode: shadow" in online("rules", "get", "cards", "--version", version).out
    assert len(online("rules", "versions", "cards", "--json").lines) == 3
    assert "never had a rule" in online("rules", "versions", "pii").out


def test_a_rule_is_stopped_goes_on_and_ends(online: Command, stocked: FakeServer) -> None:
    assert online("rules", "pause", "cards").out == "Paused cards.\n"
    assert "cards  project  paused" in online("rules", "list").out
    assert online("rules", "resume", "cards").out == "cards is in force again.\n"
    [told] = online("rules", "pause", "cards", "--json").lines
    assert told["paused"]
    done = online("rules", "delete", "cards")
    assert done.out == "Deleted cards; 'bartizan rules versions cards' tells what it was.\n"
    stocked.rules._keep(rule({"id": "pii", "plugin": "pii"}))
    assert "The server's rule of that id is in force again." in online("rules", "delete", "pii").out
    assert online("rules", "delete", "cards").code == 1


def test_a_text_is_tried(online: Command, server: FakeServer, file: Path) -> None:
    redacted = common_pb2.Message(content="pay [CREDIT_CARD]")
    checked = pb.CheckedMessage(
        verdict=common_pb2.VERDICT_MODIFY, redacted=redacted, findings=[FOUND]
    )
    run = pb.RuleRun(rule="cards", outcome=pb.RULE_OUTCOME_OK, milliseconds=0.25)
    server.rules.answer = pb.TestRuleResponse(messages=[checked], run=run, warnings=["too wide"])
    done = online("rules", "test", "-f", file, "pay 4111", "--role", "tool_call", "--agent", "a")
    assert done.code == 0
    verdict, _, found, text, warning = done.out.splitlines()
    assert verdict == "modify  (cards 0.2 ms)"
    assert found.split()[:4] == ["pii.credit_card", "0.90", "4", "8"]
    assert (text, warning) == ("pay [CREDIT_CARD]", "! too wide")
    [request] = server.rules.requests
    assert (request.messages[0].content, request.context.agent) == ("pay 4111", "a")
    [told] = online("rules", "test", "-f", file, "pay 4111", "--json").lines
    assert told["run"]["rule"] == "cards"


def test_a_text_that_the_rule_does_not_look_at(
    online: Command, server: FakeServer, file: Path
) -> None:
    run = pb.RuleRun(rule="cards", outcome=pb.RULE_OUTCOME_SKIPPED)
    server.rules.answer = pb.TestRuleResponse(messages=[pb.CheckedMessage()], run=run)
    assert "does not look at this text" in online("rules", "test", "-f", file, "x").out


def test_which_rule_must_be_clear(online: Command, stocked: FakeServer, tmp_path: Path) -> None:
    run = pb.RuleRun(rule="cards", outcome=pb.RULE_OUTCOME_OK)
    stocked.rules.answer = pb.TestRuleResponse(messages=[pb.CheckedMessage()], run=run)
    done = online("rules", "test", "x")
    assert (done.code, "Say which rule" in done.err) == (2, True)
    two = tmp_path / "two.yaml"
    two.write_text(as_yaml(CARDS, {"id": "other", "plugin": "pii"}))
    done = online("rules", "test", "-f", two, "x")
    assert (done.code, f"which rule of {two}: cards, other" in done.err) == (2, True)
    assert online("rules", "test", "-f", two, "--rule", "other", "x").code == 0
    assert stocked.rules.requests[-1].document["id"] == "other"
    assert online("rules", "test", "--rule", "cards", "x").code == 0
    assert stocked.rules.requests[-1].document["description"] == "Two\nlines"


def result(**fields: Any) -> pb.BacktestRuleResponse:
    """Returns the end of a backtest."""
    hits = pb.Proportion(hits=3, total=60, value=0.05, lower=0.017, upper=0.137)
    return pb.BacktestRuleResponse(
        done=True, spans_total=60, spans_wanted=60, spans_done=60, texts_done=1_200, version="new",
        hits=hits, latency_p50_ms=0.25, latency_p99_ms=2.5, **fields,
    )  # fmt: skip


def test_a_backtest_is_reported(online: Command, server: FakeServer, file: Path) -> None:
    example = pb.BacktestExample(trace_id="1" * 32, span_id="2" * 16, finding=FOUND)
    count = pb.BacktestCount(value="pii.credit_card", spans=3, findings=5, spans_in_force=1)
    server.rules.states = [
        pb.BacktestRuleResponse(spans_done=30, spans_wanted=60),
        result(
            version_in_force="old", both=1, only_new=2, only_in_force=4, examples_new=[example],
            examples_in_force=[example], by_category=[count],
            by_agent=[pb.BacktestCount(value="", spans=3, findings=5)],
            by_day=[pb.BacktestCount(value=f"2026-01-{day:02}", spans=day) for day in range(1, 16)],
            false_alarms=pb.Proportion(hits=1, total=4, value=0.25, lower=0.046, upper=0.7),
            labelled_right_missed=1, texts_redacted=7, spans_without_texts=1, texts_failed=2,
            warnings=["too wide"],
        ),
    ]  # fmt: skip
    done = online("rules", "backtest", "-f", file, "--since", "24h", "--examples", "3")
    assert (done.code, done.err) == (0, "")
    for line in (
        "cards new: 60 spans, 1,200 texts",
        "Hits           3 of 60 spans, 5 % (95 % sure: 1.7 % to 14 %)",
        "In force now   version old: both find 1, only this one 2, only that one 4",
        "False alarms   1 of 4 labelled findings are wrong, 25 % (95 % sure: 4.6 % to 70 %)",
        "Missed         1 finding that people labelled right",
        "Not replayed   7 texts redacted before being stored; 1 span without texts; "
        "2 texts that the rule failed on or had no time for",
        "Time it takes  0.25 ms a span (median), 2.50 ms at most for 99 of 100",
        "pii.credit_card      3         5         1",
        "(none)      3         5         0",
        "and 3 more (--json has them)",
        f"{'1' * 32}  pii.credit_card 0.90  input[0].content 4-8",
        "Look at one with 'bartizan trace ID -v'.",
        "! too wide",
    ):
        assert [one for one in done.out.splitlines() if one.rstrip() == line], line
    assert "2026-01-03" not in done.out
    assert "2026-01-15" in done.out
    [request] = server.rules.requests
    assert (request.max_examples, request.max_spans) == (3, 100_000)
    assert request.HasField("start_time")


def test_a_backtest_without_labels_says_how_to_get_an_estimate(
    online: Command, server: FakeServer, file: Path
) -> None:
    server.rules.states = [result()]
    done = online("rules", "backtest", "-f", file)
    assert "no rule of that id" in done.out
    assert "not known: apply the rule in mode shadow, then label what it finds" in done.out
    server.rules.states = [result(version_in_force="new")]
    done = online("rules", "backtest", "-f", file)
    assert "this very version" in done.out
    assert "not known: label some findings of 'bartizan findings --rule cards'" in done.out
    [told] = online("rules", "backtest", "-f", file, "--json").lines
    assert told["hits"]["total"] == "60"


def test_a_backtest_of_too_much_says_that_it_chose(
    online: Command, server: FakeServer, file: Path
) -> None:
    last = result()
    last.spans_total = 600
    server.rules.states = [last]
    assert "60 spans, evenly chosen of 600" in online("rules", "backtest", "-f", file).out


def test_a_backtest_that_breaks_off(online: Command, server: FakeServer, file: Path) -> None:
    server.rules.states = [pb.BacktestRuleResponse(spans_done=1)]
    done = online("rules", "backtest", "-f", file)
    assert (done.code, done.out) == (1, "")
    assert "without a result" in done.err


def test_findings(online: Command, server: FakeServer) -> None:
    assert online("findings").out == "No findings match.\n"
    for name in ("f-1", "f-2"):
        server.rules.add_finding(name, action=common_pb2.ACTION_REDACT, shadow=True)
    titles, first, _ = online("findings", "--rule", "cards", "--since", "24h").out.splitlines()
    assert titles.split()[-2:] == ["Label", "Finding"]
    assert first.split()[-1] == "f-1"
    assert "redact (shadow)" in first
    asked = online(
        "findings", "--category", "pii", "--trace", "1" * 32, "--action", "redact",
        "--min-severity", "high", "--shadow", "--unlabelled", "--json",
    )  # fmt: skip
    assert len(asked.lines) == 2
    wanted = server.rules.requests[-1].filter
    assert (wanted.category, wanted.shadow, wanted.labelled) == ("pii", True, False)
    assert (wanted.action, wanted.min_severity) == (
        common_pb2.ACTION_REDACT,
        common_pb2.SEVERITY_HIGH,
    )


def test_findings_on_a_terminal_keep_their_names_whole(
    online: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bartizan.server.cli.output.WIDE", 80)
    name = f"f-{'1' * 32}-{'2' * 16}-{'3' * 8}"
    server.rules.add_finding(name, field="input[0].content", action=common_pb2.ACTION_FLAG)
    first, second = online("findings").out.splitlines()
    assert first.endswith("pii.credit_card 0.90   flag by cards")
    assert second == f"  {name}  input[0].content 0-0"
    assert online("findings", "--rule", "none").code == 0


def test_labels(online: Command, server: FakeServer) -> None:
    for name in ("f-1", "f-2"):
        server.rules.add_finding(name)
    full = server.rules.found["f-2"].name
    _, *lines = online("label", "f-1", full, "--wrong").out.splitlines()
    assert [line.split()[-2] for line in lines] == ["wrong", "wrong"]
    [told] = online("label", "f-1", "--right", "--json").lines
    assert told["label"]["right"]
    assert "label" not in online("label", "f-1", "--clear", "--json").lines[0]
    for options in ([], ["--right", "--clear"]):
        done = online("label", "f-1", *options)
        assert (done.code, "one of --right, --wrong and --clear" in done.err) == (2, True)


def test_a_key_for_rules_can_be_made(online: Command, server: FakeServer) -> None:
    done = online("keys", "create", "--scope", "rules", "--json")
    assert done.lines[0]["api_key"]["scopes"] == ["SCOPE_RULES"]
