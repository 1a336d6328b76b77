"""A file that was sent in part goes on where it stopped, and nothing is counted twice."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.client.fake_ingest import KEY, Plan
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

GOOD = '{"trace_id": "%032x", "span_id": "%016x", "name": "x"}\n'
COUNT = 2_500
REFUSED = (grpc.StatusCode.PERMISSION_DENIED, "KEY_SCOPE", None)
TIMEOUT_S = 60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Five batches; a bad line in the second and one in the last."""
    lines = [GOOD % (1, number) for number in range(1, COUNT + 1)]
    lines[600] = lines[2400] = "[]\n"
    path = tmp_path / "spans.ndjson"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def broken(online: Command, server: FakeServer, file: Path) -> Path:
    """The state that is left after a send that broke off after two batches."""
    server.ingest.plans.extend([Plan(acks=2), Plan(refuse=REFUSED)])
    done = online("send", file)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        "1,000 spans sent, 1,000 stored, 1 refused before it broke off, up to line 1,001; "
        "the same command with --resume goes on from there\n"
    )
    return file.with_name("spans.ndjson.sent")


def test_it_goes_on_where_it_stopped(
    online: Command, server: FakeServer, file: Path, broken: Path
) -> None:
    server.ingest.connections.clear()
    done = online("send", file, "--resume")
    assert done.code == 1, "there are refused lines"
    assert done.err.splitlines()[0] == "bartizan: Goes on after line 1,001."
    assert done.out == "2,498 spans sent, 2,498 stored, 2 refused\n"
    assert len(server.ingest.spans) == COUNT - 2
    assert server.ingest.connections[0].seqs == [3, 4, 5], "it is the same stream"
    assert not broken.exists()


def test_all_refused_lines_are_in_the_file_for_them(
    online: Command, server: FakeServer, file: Path, tmp_path: Path
) -> None:
    rejects = tmp_path / "rejects.ndjson"
    server.ingest.plans.extend([Plan(acks=2), Plan(refuse=REFUSED)])
    online("send", file, "--rejects", rejects)
    with rejects.open("a") as half:
        half.write('{"line":2401,"count":1,"why":"again"}\n{"line":')
    online("send", file, "--rejects", rejects, "--resume")
    told = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert told == [
        {"line": number, "count": 1, "why": "is not a JSON object"} for number in (601, 2401)
    ]


def without(**changes: object) -> Callable[[Path, Path], None]:
    def damage(file: Path, state: Path) -> None:
        known: dict[str, Any] = json.loads(state.read_text())
        state.write_text(json.dumps({**known, **changes}))

    return damage


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda file, state: os.utime(file, ns=(1, 1)), "the file has changed since"),
        (lambda file, state: file.write_text(file.read_text()[:-1]), "the file has changed since"),
        (lambda file, state: state.unlink(), "nothing is kept of an earlier run"),
        (lambda file, state: state.write_text("{"), "is damaged"),
        (lambda file, state: state.write_bytes(b"\xff"), "is damaged"),
        (without(server="elsewhere:1"), "another server or project"),
        (without(project="other"), "another server or project"),
        (without(stream_id="x"), "is damaged"),
        (without(stream_id=7), "is damaged"),
        (without(otlp="yes"), "is damaged"),
        (without(counts={}), "is damaged"),
        (without(counts=None), "is damaged"),
    ],
)
def test_what_does_not_fit_means_the_first_line(
    online: Command, file: Path, broken: Path, damage: Callable[[Path, Path], None], sentence: str
) -> None:
    damage(file, broken)
    done = online("send", file, "--resume")
    first = done.err.splitlines()[0]
    assert first.startswith("bartizan: Begins at the first line, as ")
    assert sentence in first
    assert done.out == "2,498 spans sent, 1,498 stored, 1,000 duplicate, 2 refused\n"
    assert not broken.exists()


def test_what_was_kept_holds_no_content(broken: Path) -> None:
    state = broken.read_text()
    assert set(json.loads(state)) == {"file", "server", "project", "stream_id", "otlp", "counts"}
    assert KEY not in state
    assert "0000000000000001" not in state


def test_a_state_that_cannot_be_kept_is_told(
    online: Command, server: FakeServer, file: Path
) -> None:
    file.with_name("spans.ndjson.sent.new").mkdir()
    server.ingest.plans.extend([Plan(acks=2), Plan(refuse=REFUSED)])
    done = online("send", file)
    assert done.code == 1
    assert "where it was cannot be kept: Is a directory" in done.err


def test_otlp_goes_on_too(online: Command, server: FakeServer, tmp_path: Path) -> None:
    line = '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "%032x"}]}]}]}\n'
    file = tmp_path / "otlp.ndjson"
    file.write_text("".join([line % 1, "bad\n", line % 2, line % 3]))
    server.refused_export = 2
    done = online("send", file)
    assert "up to line 2" in done.err
    done = online("send", file, "--resume")
    assert done.out == "3 spans sent, 3 accepted, 1 refused\n"
    assert len(server.otlp) == 3


def test_packed_files_are_unpacked(
    online: Command, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress((GOOD % (1, 1) + GOOD % (1, 2)).encode())
    file = tmp_path / "spans.ndjson.gz"
    file.write_bytes(packed)
    assert online("send", file).out == "2 spans sent, 2 stored\n"
    stdin = io.BufferedReader(io.BytesIO(packed))
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": stdin}))
    assert online("send", "-").out == "2 spans sent, 2 duplicate\n"


def test_a_packed_file_that_breaks_off_is_told(
    online: Command, server: FakeServer, tmp_path: Path
) -> None:
    text = "".join(GOOD % (1, number) for number in range(1, 2_001))
    file = tmp_path / "spans.ndjson.gz"
    file.write_bytes(gzip.compress(text.encode())[:-100])
    done = online("send", file)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("is not whole: its gzip data break off or are damaged.\n")
    file.write_bytes(b"\x1f\x8b" + bytes(100))
    assert online("send", file).code == 1


def test_wrong_usage(online: Command, file: Path, tmp_path: Path) -> None:
    assert "does not go with --now" in online("send", file, "--now", "--resume").err
    assert "no pipe, no terminal" in online("send", "-", "--resume").err
    done = online("send", file, "--rejects", file)
    assert (done.code, file.stat().st_size > 0) == (2, True)
    assert online("send", file, "--rejects", tmp_path / "no" / "x").code == 1
    assert online("send", tmp_path).code == 2


def test_a_pipe_is_read_once(online: Command, server: FakeServer, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[GOOD % (1, 1)])
    writer.start()
    assert online("send", pipe).out == "1 spans sent, 1 stored\n"
    writer.join()
    assert not (tmp_path / "pipe.sent").exists()


def test_ctrl_c_says_how_to_go_on(
    online: Command, server: FakeServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, store, batches = threading.Event(), server.ingest._store, []

    def store_two(spans: Any) -> Any:
        batches.append(len(spans))
        if len(batches) == 3:
            server.ingest.gate.clear()
            stuck.set()
        return store(spans)

    monkeypatch.setattr(server.ingest, "_store", store_two)
    script = str(Path(sys.executable).with_name("bartizan"))
    # A test run in the background of a shell ignores interrupts, and its children would, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [script, "send", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        signal.signal(signal.SIGINT, before)
        assert stuck.wait(TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    server.ingest.gate.set()
    assert (process.returncode, out) == (130, "")
    assert "before it broke off" in err
    assert "Traceback" not in err
    online("send", file, "--resume")
    assert len(server.ingest.spans) == COUNT - 2
