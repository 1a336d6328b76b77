"""The interface of the command line and the doors that scripts rely on."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import bartizan, unjudged
from tests.support.serving import Serving

SAMPLE = Path(__file__).parents[2] / "examples" / "sample-traces.ndjson"
SAMPLE_TRACES = 20
READY = re.compile(r"ready grpc=127\.0\.0\.1:[1-9]\d* http=127\.0\.0\.1:[1-9]\d*\n")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that was sent the sample."""
    with unjudged(tmp_path_factory.mktemp("interface")) as serving:
        sent = bartizan("send", "--now", str(SAMPLE), *where(serving))
        assert sent.returncode == 0, sent.stderr
        yield serving


def where(serving: Serving) -> list[str]:
    return ["--endpoint", serving.grpc, "--api-key", serving.key]


def lines_of(*arguments: str) -> list[dict[str, Any]]:
    """Runs a command that must succeed; returns the JSON objects that it prints, one a line."""
    done = bartizan(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_traces_prints_one_object_a_line(serving: Serving) -> None:
    found = lines_of("traces", "--json", "--limit", "3", *where(serving))
    assert len(found) == 3
    starts = [trace["start_time"] for trace in found]
    assert starts == sorted(starts, reverse=True)
    whole = lines_of("traces", "--json", "--limit", "1000", *where(serving))
    assert whole[:3] == found
    assert len({trace["trace_id"] for trace in whole}) == len(whole) > 3
    assert all(re.fullmatch("[0-9a-f]{32}", trace["trace_id"]) for trace in whole)
    assert sum(int(trace["span_count"]) for trace in whole) == len(SAMPLE.read_text().splitlines())


def test_trace_prints_one_document(serving: Serving) -> None:
    (first,) = lines_of("traces", "--json", "--limit", "1", *where(serving))
    (document,) = lines_of("trace", first["trace_id"], "--json", *where(serving))
    assert document.keys() == {"trace", "spans", "findings", "feedback"}
    assert document["trace"] == first
    assert len(document["spans"]) == int(first["span_count"])
    assert {span["trace_id"] for span in document["spans"]} == {first["trace_id"]}
    assert any(span["input"] for span in document["spans"]), "whole, with its texts"


def test_key_and_endpoint_come_from_the_environment_too(serving: Serving) -> None:
    done = bartizan(
        "traces",
        "--json",
        "--limit",
        "1",
        BARTIZAN_API_KEY=serving.key,
        BARTIZAN_ENDPOINT=serving.grpc,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


def test_readyz_and_metrics(serving: Serving) -> None:
    assert serving.get("/readyz") == (200, '{"status":"ok"}')
    assert serving.get("/healthz")[0] == 200
    status, body = serving.get("/metrics")
    assert status == 200
    figures = dict(re.findall(r'^bartizan_spans_total\{outcome="(\w+)"\} (\S+)$', body, re.M))
    assert figures.keys() == {"stored", "duplicate", "rejected", "quarantined"}
    assert float(figures["stored"]) == len(SAMPLE.read_text().splitlines())


def test_serve_says_one_line_and_ends_well(tmp_path: Path) -> None:
    config = tmp_path / "bartizan.yaml"
    config.write_text("limits: {queue_bytes: 8MiB}\n")
    with unjudged(tmp_path, "--config", str(config), "--workers", "2") as serving:
        assert stat.S_IMODE(serving.key_file.stat().st_mode) == 0o600
        key = serving.key
        assert lines_of("traces", "--json", *where(serving)) == []
        process = serving.process
        assert process is not None
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert (process.stdout.read(), process.wait(60)) == ("", 0)
        process.stdout.close()
        serving.start()
        assert serving.key == key, "the key file is written once"
        assert lines_of("traces", "--json", *where(serving)) == []
        assert serving.log_file.read_text().count("This is the first start") == 1


def test_the_ready_line_names_the_ports_that_zero_became(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("bartizan")), "serve", "--data-dir",
        str(tmp_path / "data"), "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
    ]  # fmt: skip
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        assert READY.fullmatch(line), (tmp_path / "log").read_text()
        assert (process.stdout.read(), process.wait(60)) == ("", 0)
    assert "The key of the project default, shown this once" in (tmp_path / "log").read_text()


def test_guardrails_score_without_a_server() -> None:
    lines = [
        {"text": "Write to ada@example.com"},
        {"text": "nothing here", "role": "assistant"},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "bartizan.guardrails", "score", "pii"],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["findings"] == [
        {"category": "pii.email_address", "score": first["score"], "start": 9, "end": 24}
    ]
    assert second == {"score": 0.0, "findings": []}
