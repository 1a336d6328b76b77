"""`bartizan apply`: the difference first, and then exactly that."""

import io
from pathlib import Path

import grpc
import pytest
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

from bartizan.plugins.errors import ConfigError
from bartizan.server.cli.rule_files import read_all
from bartizan.v1 import guardrail_pb2 as pb

CARDS = "rules:\n  - {id: cards, plugin: pii, threshold: 0.5}\n"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files with a rule each, one of them in a folder below, and what is none."""
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "mails.yml").write_text("rules:\n  - id: mails\n    plugin: pii\n")
    (tmp_path / "cards.yaml").write_text(CARDS)
    (tmp_path / ".git" / "x.yaml").write_text("none")
    (tmp_path / "README").write_text("none")
    return tmp_path


def methods(server: FakeServer) -> list[bool]:
    """Returns of each request to apply whether it was one to look only."""
    asked = [one for one in server.rules.requests if isinstance(one, pb.ApplyRulesRequest)]
    return [one.validate_only for one in asked]


def test_a_folder_is_applied(online: Command, server: FakeServer, folder: Path) -> None:
    done = online("apply", "-f", folder, "--yes")
    assert (done.code, done.err) == (0, "")
    assert "+ created cards\n    +id: cards\n    +plugin: pii\n    +threshold: 0.5\n" in done.out
    assert "+ created mails\n" in done.out
    assert done.out.endswith(
        "2 created.\nApplied; in force on every server process within 2 seconds.\n"
    )
    assert set(server.rules.own) == {"cards", "mails"}
    again = online("apply", "-f", folder, "--yes")
    assert (again.code, again.out) == (0, "2 unchanged.\nNothing to change.\n")
    assert methods(server) == [True, False, True]
    assert server.rules.requests[1].expected_state == "s0-0"


def test_a_change_is_shown_line_by_line(online: Command, server: FakeServer, folder: Path) -> None:
    online("apply", "-f", folder / "cards.yaml", "--yes")
    (folder / "cards.yaml").write_text(CARDS.replace("0.5", "0.7"))
    done = online("apply", "-f", folder / "cards.yaml", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "~ updated cards\n     id: cards\n     plugin: pii\n" in done.out
    assert "    -threshold: 0.5\n    +threshold: 0.7\n" in done.out
    assert done.out.endswith("Nothing was changed: this was a dry run.\n")
    assert server.rules.own["cards"].document["threshold"] == 0.5


def test_ci_learns_whether_anything_would_change(
    online: Command, server: FakeServer, folder: Path
) -> None:
    done = online("apply", "-f", folder, "--check")
    assert (done.code, set(server.rules.own)) == (3, set())
    assert online("apply", "-f", folder, "--yes").code == 0
    assert online("apply", "-f", folder, "--check").code == 0


def test_what_the_files_do_not_name_stays_unless_it_is_pruned(
    online: Command, server: FakeServer, folder: Path
) -> None:
    online("apply", "-f", folder, "--yes")
    done = online("apply", "-f", folder / "cards.yaml", "--yes")
    assert done.out.startswith("1 unchanged.")
    done = online("apply", "-f", folder / "cards.yaml", "--yes", "--prune")
    assert done.out.startswith("- deleted mails\n1 deleted, 1 unchanged.\n")
    assert set(server.rules.own) == {"cards"}


def test_a_rule_in_place_of_the_server_s_is_compared_with_it(
    online: Command, tmp_path: Path
) -> None:
    (tmp_path / "pii.yaml").write_text("rules: [{id: pii, plugin: pii, action: flag}]")
    done = online("apply", "-f", tmp_path, "--dry-run")
    assert "+ created pii (in place of the server's rule)\n" in done.out
    assert "    -action: redact\n" in done.out


def test_a_paused_rule_is_said_to_stay_so_and_warnings_are_shown(
    online: Command, server: FakeServer, folder: Path
) -> None:
    online("apply", "-f", folder, "--yes")
    online("rules", "pause", "cards")
    server.rules.warnings = ["it finds something everywhere"]
    (folder / "cards.yaml").write_text(CARDS.replace("0.5", "0.7"))
    done = online("apply", "-f", folder / "cards.yaml", "--yes")
    assert "~ updated cards (paused)\n  ! it finds something everywhere\n" in done.out
    assert server.rules.own["cards"].paused


@pytest.mark.parametrize(("typed", "code", "applied"), [("y\n", 0, True), ("\n", 1, False)])
def test_a_person_is_asked(
    online: Command,
    server: FakeServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
    applied: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    done = online("apply", "-f", folder)
    assert (done.code, bool(server.rules.own)) == (code, applied)
    assert done.err == "Apply this? [y/N]: "
    assert done.out.endswith("Nothing was changed.\n") is not applied


def test_a_person_who_leaves_changes_nothing(
    online: Command, server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert online("apply", "-f", folder).code == 130
    assert not server.rules.own


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_where_nobody_can_be_asked_it_must_be_told(
    bartizan: Command, folder: Path, options: list[str]
) -> None:
    done = bartizan("apply", "-f", folder, *options)
    assert (done.code, done.out) == (2, "")
    assert "give --yes, or --dry-run to only look" in done.err


def test_json_tells_what_became_of_each_rule(online: Command, folder: Path) -> None:
    [plan] = online("apply", "-f", folder, "--json", "--dry-run").lines
    assert (plan["applied"], plan["state"]) == (False, "s0-0")
    [done] = online("apply", "-f", folder, "--json", "--yes").lines
    assert done["applied"]
    assert [one["kind"] for one in done["changes"]] == ["RULE_CHANGE_KIND_CREATED"] * 2


def test_what_changed_in_between_is_not_overwritten(
    online: Command, server: FakeServer, folder: Path
) -> None:
    server.rules.meddled = True
    done = online("apply", "-f", folder, "--yes")
    assert (done.code, done.err) == (1, "bartizan: look again.\n")
    assert not server.rules.own


def test_the_server_s_complaint_names_the_file(
    online: Command, server: FakeServer, folder: Path
) -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    server.rules.failures.append((code, "BAD", "rule 'mails': config: 'x' is not a known key"))
    done = online("apply", "-f", folder, "--yes")
    file = folder / "b" / "mails.yml"
    assert (done.code, done.out) == (2, "")
    assert done.err == f"bartizan: {file}, line 2: rule 'mails': config: 'x' is not a known key.\n"
    server.rules.failures.append((code, "BAD", "no guardrail 'pii'"))
    assert "line 2: no guardrail 'pii'" in online("apply", "-f", file, "--yes").err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rules: [", "{}: line 1: this is not YAML"),
        ("rulez: []", "{}: 'rulez' is not a known key (did you mean 'rules'?)"),
        ("- 1", "{}: must be a mapping"),
        ("rules: [{id: 7}]", "{}, line 1: 'id': Input should be a valid string"),
        ("rules:\n- id: a\n  plugin: b\n- {id: b, plugn: c}", "{}, line 4, rule 'b': 'plugn'"),
        ("rules:\n- 3", "{}, line 2: "),
        ("rules: [{id: a, plugin: b}, {id: a, plugin: b}]", "{}: two rules have the id 'a'"),
        ("rules: [{id: a, plugin: b, config: {d: 2026-01-01}}]", "{}, line 1: The rule 'a'"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_code_2(
    online: Command, server: FakeServer, tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    done = online("apply", "-f", file, "--yes")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bartizan: {sentence.format(file)}")
    assert done.err.count("\n") == 1
    assert not server.rules.requests


def test_a_file_that_is_not_there(bartizan: Command, tmp_path: Path) -> None:
    gone = tmp_path / "gone.yaml"
    done = bartizan("apply", "-f", gone, "--yes")
    assert done.err == f"bartizan: {gone} cannot be read: No such file or directory.\n"
    done = bartizan("apply", "-f", tmp_path, "--prune", "--yes")
    assert (done.code, done.err) == (
        2, f"bartizan: The folder {tmp_path} holds no .yaml or .yml file.\n",
    )  # fmt: skip
    gone.write_bytes(b"\xff")
    assert "is not UTF-8" in bartizan("apply", "-f", gone, "--yes").err


def test_two_files_may_not_have_the_same_rule_but_may_name_each_other_s(folder: Path) -> None:
    other = folder / "other.yaml"
    other.write_text("rules: [{id: both, when: {all: [cards, mails]}}]")
    assert [one.id for one in read_all([str(folder)])] == ["mails", "cards", "both"]
    assert [one.id for one in read_all([str(other), str(folder)])] == ["both", "mails", "cards"]
    other.write_text(CARDS)
    with pytest.raises(ConfigError, match=r"'cards' is in .*cards\.yaml, line 2, too"):
        read_all([str(folder)])


def test_standard_input(
    online: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CARDS.encode())))
    assert online("apply", "-f", "-", "--yes").code == 0
    assert set(server.rules.own) == {"cards"}


def test_no_rules_at_all(online: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    done = online("apply", "-f", tmp_path, "--yes")
    assert (done.code, done.out) == (0, "There are no rules.\nNothing to change.\n")
