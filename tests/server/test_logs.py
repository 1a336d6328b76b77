import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bartizan.server import logs

SECRET = "what the customer wrote"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(json=True)
    structlog.stdlib.get_logger("a.b").info("started", port=1)
    logging.getLogger("library").warning("slow by %d", 3)
    ours, theirs = lines(capsys)
    assert ours.pop("timestamp")
    assert ours == {"event": "started", "logger": "a.b", "level": "info", "port": 1}
    assert (theirs["event"], theirs["logger"]) == ("slow by 3", "library")


@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_the_text_of_an_error_is_left_out(capsys: pytest.CaptureFixture[str], name: str) -> None:
    logs.configure(json=True)
    logger = structlog.stdlib.get_logger("x") if name == "ours" else logging.getLogger("x")
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("it failed")
    (line,) = lines(capsys)
    assert line["error"] == "builtins.ValueError"
    assert "test_logs.py" in str(line["at"])
    assert SECRET not in str(line)


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", json=True)
    structlog.stdlib.get_logger("x").info("no")
    logging.getLogger("uvicorn").info("no")
    assert lines(capsys) == []


def test_a_terminal_gets_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(json=False)
    structlog.stdlib.get_logger("x").info("started", port=1)
    err = capsys.readouterr().err
    assert "started" in err
    assert "port=1" in err


async def test_errors_that_reach_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(json=True)
    logs.log_loop_error(asyncio.get_running_loop(), {"exception": ValueError(SECRET)})
    (line,) = lines(capsys)
    assert line["error"] == "builtins.ValueError"
    assert SECRET not in str(line)
