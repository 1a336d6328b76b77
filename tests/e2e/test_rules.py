"""The rules of projects on a running server of two processes, as a platform team uses them."""

import json
import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.processes import PATIENCE_S, channel_to
from tests.support.servers import bartizan, bearer
from tests.support.serving import POLL_S, Serving
from tests.support.spans import make_span

from bartizan.client import Bartizan, NotFound, PermissionDenied
from bartizan.v1 import admin_pb2, common_pb2, guardrail_pb2, guardrail_pb2_grpc

ALLOW, MODIFY = common_pb2.VERDICT_ALLOW, common_pb2.VERDICT_MODIFY
SAMPLE = Path(__file__).parents[2] / "examples" / "sample-traces.ndjson"
HOUSE = """
rules:
  - id: codename
    plugin: patterns
    action: redact
    config: {patterns: [{id: codename, words: [Bluebird]}]}
"""
NUMBERS = count(1)
NUMBER = "A-1042"
TEXT = f"Where is order {NUMBER}, for Bluebird?"


def orders(**changes: Any) -> dict[str, Any]:
    """Returns the document of a rule for order numbers."""
    pattern = {"id": "order", "pattern": r"\b[A-Z]-\d{4}\b", "case_sensitive": True}
    rule = {"id": "orders", "plugin": "patterns", "config": {"patterns": [pattern]}}
    return {**rule, "action": "redact", **changes}


@dataclass(frozen=True)
class Project:
    """A project of its own, with a key that may do everything but administer."""

    key: str
    client: Bartizan
    serving: Serving
    doors: Mapping[int, grpc.Channel]

    def command(self, *arguments: object, key: str = "") -> "subprocess.CompletedProcess[str]":
        """Runs a command as this project."""
        where = {"BARTIZAN_ENDPOINT": self.serving.grpc, "BARTIZAN_API_KEY": key or self.key}
        return bartizan(*map(str, arguments), **where)

    def wait_for(
        self, verdict: int, text: str = TEXT, rule: str = ""
    ) -> guardrail_pb2.CheckResponse:
        """Waits until every server process says so of a text; returns the last answer.

        A rule that is named has to be among those that judged.
        """
        message = common_pb2.Message(role=common_pb2.ROLE_USER, content=text)
        request = guardrail_pb2.CheckRequest(messages=[message])
        deadline = time.monotonic() + PATIENCE_S
        for channel in self.doors.values():
            stub = guardrail_pb2_grpc.GuardrailServiceStub(channel)
            while True:
                answer = stub.Check(request, metadata=bearer(self.key), timeout=PATIENCE_S)
                asked = {run.rule for run in answer.rules}
                if answer.verdict == verdict and (not rule or rule in asked):
                    break
                assert time.monotonic() < deadline, "a server process has not heard of it"
                time.sleep(POLL_S)
        return answer

    def stored(self, seed: int) -> tuple[str, list[common_pb2.Finding]]:
        """Sends a span with the text; returns the text as it is stored, and what was found."""
        span = make_span(random.Random(seed), agent="shop")
        del span.output[:], span.input[1:]
        span.input[0].role, span.input[0].content = common_pb2.ROLE_USER, TEXT
        assert self.client.export([span]).stored == 1
        view = self.client.get_trace(span.trace_id)
        return view.spans[0].input[0].content, view.findings


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.yaml").write_text(HOUSE)
    (folder / "vault.key").write_bytes(bytes(range(32)))
    (folder / "bartizan.yaml").write_text(f"vault_key_file: {folder / 'vault.key'}")
    options = ["--rules", str(folder / "rules.yaml"), "--workers", "2"]
    options += ["--config", str(folder / "bartizan.yaml")]
    with Serving(folder / "data", options) as serving:
        yield serving


@pytest.fixture(scope="module")
def doors(serving: Serving) -> Iterator[Mapping[int, grpc.Channel]]:
    """A connection to each process."""
    with ExitStack() as stack:
        yield {pid: stack.enter_context(channel_to(serving, pid)) for pid in serving.workers()}


@pytest.fixture(scope="module")
def owner(serving: Serving) -> Iterator[Bartizan]:
    with Bartizan(serving.key, serving.grpc) as client:
        yield client


@pytest.fixture
def project(
    serving: Serving, doors: Mapping[int, grpc.Channel], owner: Bartizan
) -> Iterator[Project]:
    yield from made(serving, doors, owner)


@pytest.fixture
def other(
    serving: Serving, doors: Mapping[int, grpc.Channel], owner: Bartizan
) -> Iterator[Project]:
    yield from made(serving, doors, owner)


def made(serving: Serving, doors: Mapping[int, grpc.Channel], owner: Bartizan) -> Iterator[Project]:
    project = owner.admin.create_project(f"p{next(NUMBERS)}", admin_pb2.Project()).name
    key = owner.admin.create_key(["ingest", "read", "check", "rules"], project=project).secret
    with Bartizan(key, serving.grpc) as client:
        yield Project(key, client, serving, doors)


def test_a_file_is_applied_after_a_dry_run(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(json.dumps({"rules": [orders()]}))
    done = project.command("apply", "-f", tmp_path, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "+ created orders" in done.stdout
    assert [one.name[-8:] for one in project.client.rules.list()] == ["codename"]
    assert project.command("apply", "-f", tmp_path, "--check").returncode == 3
    done = project.command("apply", "-f", tmp_path, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert project.command("apply", "-f", tmp_path, "--check").returncode == 0
    assert len(project.client.rules.list()) == 2
    file.write_text("rules: []")
    assert "1 deleted" in project.command("apply", "-f", file, "--prune", "--yes").stdout
    assert [one.name[-8:] for one in project.client.rules.list()] == ["codename"]


def test_a_change_takes_effect_in_every_process(project: Project) -> None:
    project.wait_for(MODIFY)
    project.wait_for(ALLOW, NUMBER)
    project.client.rules.apply([orders()])
    answer = project.wait_for(MODIFY, NUMBER)
    assert answer.messages[0].redacted.content == "[ORDER]"
    text, findings = project.stored(1)
    assert text == "Where is order [ORDER], for [CODENAME]?"
    assert {one.rule for one in findings} == {"orders", "codename"}
    project.client.rules.update("orders", orders(redaction="drop"))
    project.client.rules.delete("orders")
    project.wait_for(ALLOW, NUMBER)
    assert project.stored(2)[0] == f"Where is order {NUMBER}, for [CODENAME]?"


def test_a_rule_in_shadow_is_recorded_and_does_nothing(project: Project) -> None:
    project.client.rules.create(orders(id="warning", mode="enforce", action="flag"))
    project.client.rules.create(orders(mode="shadow"))
    answer = project.wait_for(ALLOW, NUMBER, "orders")
    assert {one.rule: one.shadow for one in answer.messages[0].findings} == {
        "warning": False,
        "orders": True,
    }
    text, _ = project.stored(3)
    assert NUMBER in text
    [found] = project.client.rules.findings(shadow=True)
    assert (found.finding.rule, found.finding.action) == ("orders", common_pb2.ACTION_REDACT)
    assert len(list(project.client.rules.findings(rule="orders", shadow=False))) == 0


def test_a_rule_is_paused_and_goes_on_also_one_of_the_server(
    project: Project, other: Project
) -> None:
    assert "Paused" in project.command("rules", "pause", "codename").stdout
    project.wait_for(ALLOW)
    assert project.stored(4)[0] == TEXT
    other.wait_for(MODIFY)
    assert "in force again" in project.command("rules", "resume", "codename").stdout
    project.wait_for(MODIFY)
    project.client.rules.create(orders(id="codename"))
    done = project.command("rules", "delete", "codename")
    assert "The server's rule of that id is in force again." in done.stdout
    done = project.command("rules", "delete", "codename")
    assert (done.returncode, "can be paused in a project" in done.stderr) == (1, True)


def test_a_backtest_learns_from_labels(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    wide = orders(mode="shadow")
    wide["config"]["patterns"][0] |= {"case_sensitive": False, "pattern": r"\b[A-Z]-\d{3,6}\b"}
    project.client.rules.create(wide)
    project.wait_for(MODIFY, rule="orders")
    assert project.command("send", SAMPLE, "--now").returncode == 0
    found = list(project.client.rules.findings(rule="orders"))
    wrong = [one for one in found if one.finding.field == "user_id"]
    right = [one for one in found if one.finding.field == "input[0].content"]
    assert wrong, "what looks like an order number and is none"
    for one in wrong[:3]:
        project.client.rules.label(one.name, False)
    done = project.command("label", right[0].name, "--right", "--json")
    assert json.loads(done.stdout)["label"]["right"]
    file.write_text(json.dumps({"rules": [wide]}))
    done = project.command("rules", "backtest", "-f", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "this very version" in done.stdout
    assert "3 of 4 labelled findings are wrong, 75 %" in done.stdout
    file.write_text(json.dumps({"rules": [orders()]}))
    done = project.command("rules", "backtest", "-f", file, "--since", "24h", "--json")
    result = json.loads(done.stdout)
    assert result["done"]
    assert result["spans_done"] == result["spans_total"] == "116"
    assert result["false_alarms"]["hits"] == "0"
    assert result["only_new"] == "0"
    assert int(result["only_in_force"]) > 0
    assert result["examples_in_force"]
    assert "labelled" not in str(project.client.rules.label(wrong[0].name, None))


def test_what_a_rule_was_can_be_had_back(project: Project, tmp_path: Path) -> None:
    first = project.client.rules.create(orders(severity="low"))
    project.client.rules.update("orders", orders(severity="high"), first.etag)
    project.client.rules.delete("orders")
    states = [(one.deleted, one.version) for one in project.client.rules.versions("orders")]
    assert [deleted for deleted, _ in states] == [True, False, False]
    done = project.command("rules", "versions", "orders")
    assert len(done.stdout.splitlines()) == 4
    done = project.command("rules", "get", "orders", "--version", states[2][1])
    (tmp_path / "old.yaml").write_text(done.stdout)
    assert project.command("apply", "-f", tmp_path, "--yes").returncode == 0
    again = project.client.rules.get("orders")
    assert (again.version, again.author) == (first.version, first.author)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (orders(actoin="flag"), "line 1, rule 'orders': 'actoin' is not a known key"),
        (orders(plugin="nope"), "line 1: no guardrail 'nope'"),
        (orders(config={"x": 1}), "line 1: rule 'orders': config: 'x' is not a known key"),
        (orders(plugin="", config={}, when={"any": ["gone"]}), "names a rule 'gone'"),
    ],
)
def test_a_wrong_document_is_one_sentence(
    project: Project, tmp_path: Path, rule: dict[str, Any], said: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(json.dumps({"rules": [rule]}))
    done = project.command("apply", "-f", file, "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(project.client.rules.list()) == 1


def test_a_rule_is_tried_before_it_is_there(project: Project, tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(json.dumps({"rules": [orders(mode="shadow")]}))
    done = project.command("rules", "test", "-f", tmp_path / "orders.yaml", TEXT)
    assert done.stdout.startswith("modify  (orders ")
    assert done.stdout.endswith("Where is order [ORDER], for Bluebird?\n")
    everything = orders(config={"patterns": [{"id": "all", "pattern": "[a-z]+"}]})
    plan = project.client.rules.apply([everything], dry_run=True)
    assert "it would match everything" in plan.changes[0].warnings[0]


def test_another_project_neither_sees_nor_changes_them(project: Project, other: Project) -> None:
    rule = project.client.rules.create(orders(mode="shadow"))
    project.wait_for(ALLOW, NUMBER, "orders")
    project.stored(5)
    [found, _] = project.client.rules.findings()
    assert len(other.client.rules.list()) == 1
    assert not list(other.client.rules.findings())
    for call in (
        lambda: other.client.rules.get(rule.name),
        lambda: other.client.rules.get("orders"),
        lambda: other.client.rules.update(rule.name, orders()),
        lambda: other.client.rules.delete(rule.name),
        lambda: other.client.rules.pause(rule.name),
        lambda: list(other.client.rules.versions(rule.name)),
        lambda: other.client.rules.label(found.name, True),
        lambda: other.client.rules.label(found.name.rpartition("/")[2], True),
    ):
        with pytest.raises(NotFound):
            call()
    other.client.rules.apply([], prune=True)
    assert project.client.rules.get("orders").etag == rule.etag


def test_a_key_needs_the_scope(project: Project, owner: Bartizan, tmp_path: Path) -> None:
    name = project.client.admin.who_am_i().project
    key = owner.admin.create_key(["read", "check"], project=name).secret
    with Bartizan(key, project.serving.grpc) as reader:
        assert len(reader.rules.list()) == 1
        with pytest.raises(PermissionDenied):
            reader.rules.create(orders())
        with pytest.raises(PermissionDenied):
            list(reader.rules.backtest(orders()))
    (tmp_path / "orders.yaml").write_text(json.dumps({"rules": [orders()]}))
    done = project.command("apply", "-f", tmp_path, "--dry-run", key=key)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_pseudonym_is_turned_back_by_who_may(project: Project, owner: Bartizan) -> None:
    project.client.rules.create(orders(redaction="pseudonym"))
    token = project.wait_for(MODIFY, NUMBER).messages[0].redacted.content
    assert NUMBER not in token
    text, _ = project.stored(7)
    assert token in text
    done = project.command("reveal", token)
    assert (done.returncode, "scope" in done.stderr) == (1, True)
    name = project.client.admin.who_am_i().project
    may = owner.admin.create_key(["reveal"], project=name).secret
    done = project.command("reveal", token, key=may)
    assert (done.returncode, NUMBER in done.stdout) == (0, True)
    elsewhere = owner.admin.create_key(["reveal"]).secret
    assert project.command("reveal", token, key=elsewhere).returncode == 1
