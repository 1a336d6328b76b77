"""Files are sent whole, and what is refused is told by its line."""

import io
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.client.fake_ingest import Plan
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

from bartizan.v1 import common_pb2

SAMPLE = Path(__file__).parents[3] / "examples" / "sample-traces.ndjson"
GOOD = '{"trace_id": "%032x", "span_id": "%016x", "name": "x"}'


def test_the_sample_is_sent_and_sent_again(online: Command, server: FakeServer) -> None:
    count = len(SAMPLE.read_text().splitlines())
    first = online("send", SAMPLE)
    assert (first.code, first.err) == (0, "")
    assert first.out == f"{count} spans sent, {count} stored\n"
    assert online("send", SAMPLE).out == f"{count} spans sent, {count} duplicate\n"
    assert len(server.ingest.spans) == count


def test_times_can_be_moved_to_now(online: Command, server: FakeServer) -> None:
    assert online("send", SAMPLE, "--now").code == 0
    spans = list(server.ingest.spans.values())
    last = max(span.end_time.ToNanoseconds() for span in spans)
    assert abs(time.time_ns() - last) < 60 * 10**9
    lengths = {span.end_time.ToNanoseconds() - span.start_time.ToNanoseconds() for span in spans}
    assert min(lengths) >= 0
    assert len(lengths) > 50


def test_refused_lines_are_told_and_the_others_stored(
    online: Command, server: FakeServer, tmp_path: Path
) -> None:
    lines = [
        GOOD % (1, 1),
        "",
        '{"name": "no id", "span_id": "0000000000000001"}',
        '{"name": "private words',
        '{"colour": "x"}',
        '{"usage": {"input": "private words"}}',
        "[1]",
        '{"name": ' + "[" * 100_000,
        GOOD % (1, 2),
    ]
    file = tmp_path / "spans.ndjson"
    file.write_text("\n".join(lines))
    done = online("send", file)
    assert done.code == 1
    assert done.out == "3 spans sent, 2 stored, 6 refused\n"
    told = dict(line.split(": ", 1) for line in done.err.splitlines())
    assert sorted(told) == ["line 3", "line 4", "line 5", "line 6", "line 7", "line 8"]
    assert told["line 3"] == "trace_id is required"
    assert told["line 5"] == "has an unknown field colour"
    assert told["line 6"] == "has a wrong value in usage.input"
    assert "private" not in done.err
    report = json.loads(online("send", file, "--json").out)
    assert (report["duplicate"], len(report["rejected"])) == (2, 6)


def test_only_so_many_refused_lines_are_told(online: Command, tmp_path: Path) -> None:
    file = tmp_path / "spans.ndjson"
    file.write_text("[]\n" * 30)
    done = online("send", file)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "and 10 more lines"


def test_standard_input(
    online: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = io.BufferedReader(io.BytesIO((GOOD % (7, 7)).encode()))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=source))
    assert online("send", "-").out == "1 spans sent, 1 stored\n"


def test_an_empty_file_is_sent_in_no_time(online: Command, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_text("\n\n")
    assert online("send", file).out == "0 spans sent\n"


def test_a_broken_connection_does_not_matter(
    online: Command, server: FakeServer, tmp_path: Path
) -> None:
    server.ingest.plans.extend([Plan(acks=1), Plan(acks=1, lost_acks=1)])
    file = tmp_path / "spans.ndjson"
    file.write_text("\n".join(GOOD % (1, number) for number in range(1, 2_501)))
    done = online("send", file, "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert report["stored"] + report["duplicate"] == report["sent"] == 2_500
    assert len(server.ingest.spans) == 2_500


def test_a_wrong_key_ends_it(online: Command, tmp_path: Path) -> None:
    done = online("send", SAMPLE, "--api-key", "btz_wrong")
    assert (done.code, done.out) == (1, "")
    assert "The API key is not valid" in done.err


def test_what_the_sample_holds() -> None:
    spans = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    kinds = {span["kind"] for span in spans}
    named = {f"SPAN_KIND_{name}" for name in ("LLM", "TOOL", "RETRIEVER", "AGENT")}
    assert named <= kinds <= set(common_pb2.SpanKind.keys())
    assert 100 <= len(spans) <= 150
    assert {span["agent"] for span in spans} == {"support-bot", "coder", "handbook"}
    assert any(span["status"] == "STATUS_CODE_ERROR" for span in spans)
