"""OTLP JSON files, in one line, in many lines and one request a line."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

END_NS = 1_700_000_001_000_000_000


def request(number: int, trace_id: str = "") -> dict[str, Any]:
    span = {
        "traceId": trace_id or f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat",
        "startTimeUnixNano": str(END_NS - 10**9),
        "endTimeUnixNano": str(END_NS - number),
        "events": [{"name": "first token", "timeUnixNano": str(END_NS - 5 * 10**8)}],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def spans(server: FakeServer) -> list[Any]:
    return [
        span
        for one in server.otlp
        for resource in one.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_whole_document(
    online: Command, server: FakeServer, tmp_path: Path, indent: int | None
) -> None:
    file = tmp_path / "otlp.json"
    file.write_text(json.dumps(request(1), indent=indent))
    done = online("send", file)
    assert (done.code, done.err) == (0, "")
    assert done.out == "1 spans sent, 1 accepted\n"
    assert spans(server)[0].trace_id == (1).to_bytes(16, "big")


def test_one_request_a_line(online: Command, server: FakeServer, tmp_path: Path) -> None:
    lines = [json.dumps(request(1)), "{broken", json.dumps(request(2))]
    file = tmp_path / "otlp.ndjson"
    file.write_text("\n".join(lines))
    done = online("send", file)
    assert (done.code, done.out) == (1, "2 spans sent, 2 accepted, 1 refused\n")
    assert done.err.startswith("line 2: ")
    assert [span.span_id[-1] for span in spans(server)] == [1, 2]


def test_times_can_be_moved_to_now(online: Command, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "otlp.ndjson"
    file.write_text("\n".join(json.dumps(request(number)) for number in (1, 2)))
    assert online("send", file, "--now").code == 0
    first, second = spans(server)
    assert abs(time.time_ns() - first.end_time_unix_nano) < 60 * 10**9
    assert first.end_time_unix_nano - second.end_time_unix_nano == 1
    assert first.end_time_unix_nano - first.events[0].time_unix_nano == 5 * 10**8 - 1


def test_a_tall_file_that_is_not_otlp_is_refused_line_by_line(
    online: Command, tmp_path: Path
) -> None:
    file = tmp_path / "span.json"
    file.write_text(json.dumps({"name": "x"}, indent=2))
    done = online("send", file)
    assert (done.code, done.out) == (1, "0 spans sent, 3 refused\n")
