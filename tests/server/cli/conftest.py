"""Runs commands in this process against a fake server."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.client.fake_ingest import KEY
from tests.server.cli.fake_server import FakeServer

from bartizan.server.cli import run


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The output as NDJSON."""
        return [orjson.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Done]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        yield server


@pytest.fixture
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the profiles of this test are; there is nothing yet."""
    return tmp_path_factory.mktemp("home") / "bartizan" / "config.toml"


@pytest.fixture
def bartizan(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config_file: Path
) -> Command:
    """Runs `bartizan ARGUMENTS` without a server, in an empty environment."""
    for name in ("BARTIZAN_API_KEY", "BARTIZAN_ENDPOINT", "BARTIZAN_PROFILE", "BARTIZAN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config_file.parents[1]))

    def command(*arguments: object) -> Done:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Done(code, captured.out, captured.err)

    return command


@pytest.fixture
def online(bartizan: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `bartizan ARGUMENTS` with the right endpoint and key in the environment."""
    monkeypatch.setenv("BARTIZAN_ENDPOINT", server.endpoint)
    monkeypatch.setenv("BARTIZAN_API_KEY", KEY)
    return bartizan
