"""Help that teaches, and one sentence for every mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.server.cli.conftest import Command

COMMANDS = (
    "serve", "login", "logout", "profiles", "send", "tail", "traces", "trace", "sessions", "export",
    "check", "apply", "rules", "findings", "label", "doctor", "version", "keys", "projects",
)  # fmt: skip


def test_help_lists_every_command(bartizan: Command) -> None:
    done = bartizan("--help")
    assert done.code == 0
    assert all(f"\n  {command} " in done.out for command in COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "version"])
def test_help_of_a_command_has_an_example(bartizan: Command, command: str) -> None:
    done = bartizan(command, "--help")
    assert done.code == 0
    assert f"    bartizan {command}" in done.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "No such command 'nope'"),
        (["traces", "--sinc", "1h"], "No such option: --sinc"),
        (["traces", "--since", "soon"], "neither a time ago such as 30m"),
        (["traces", "--min-duration", "5"], "must be a duration such as 30s"),
        (["traces", "--status", "fine"], "'fine' is not one of 'ok', 'error'"),
        (["traces", "--limit", "0"], "greater than or equal to 1"),
        (["traces", "--endpoint", "here"], "must be HOST:PORT"),
        (["trace"], "Missing argument 'ID'"),
        (["send", "/no/such/file"], "cannot be read: No such file"),
        (["projects", "update", "x"], "Nothing to change"),
        (["keys", "create"], "Missing option '--scope'"),
        (["serve", "--workers", "0"], "The setting workers is wrong"),
        (["serve", "--config", "/no/such/file"], "cannot be read"),
        (["doctor", "--grpc-listen", "4317"], "must be HOST:PORT"),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(
    bartizan: Command, arguments: list[str], sentence: str
) -> None:
    done = bartizan(*arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert done.err.startswith("bartizan: ")
    assert done.err.count("\n") == 1


def test_nothing_at_all_shows_the_help(bartizan: Command) -> None:
    done = bartizan()
    assert done.code == 2
    assert done.err.startswith("Usage: bartizan")


def test_no_server_is_one_sentence_and_code_1(bartizan: Command) -> None:
    done = bartizan("traces", "--endpoint", "127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert "start one with 'bartizan serve'" in done.err


def test_a_wrong_key_says_where_to_give_one(online: Command) -> None:
    done = online("traces", "--api-key", "btz_wrong")
    assert done.code == 1
    assert "The API key is not valid; give a key with --api-key" in done.err
    assert "btz_wrong" not in done.err


def test_another_kind_of_server_is_told_apart(online: Command) -> None:
    done = online("projects", "get", "x")
    assert done.code == 1


def test_version(bartizan: Command) -> None:
    assert bartizan("version").out == "0.1.0\n"
    assert bartizan("version", "--json").lines == [{"version": "0.1.0"}]


def test_help_needs_no_heavy_library() -> None:
    program = (
        "import sys; from bartizan.server.cli import run; run(['--help']);"
        "print(*sorted({'grpc', 'pydantic', 'asyncpg', 'sqlalchemy'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stderr.decode().split() == []


def test_the_console_script_is_there() -> None:
    script = Path(sys.executable).with_name("bartizan")
    done = subprocess.run([script, "version"], check=True, capture_output=True)
    assert done.stdout == b"0.1.0\n"
