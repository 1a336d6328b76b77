"""The commands against a real server, through its restarts and over mutual TLS."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificates import make_certificates
from tests.support.servers import bartizan, unjudged
from tests.support.serving import Serving
from tests.support.spans import make_span

from bartizan.client import Bartizan
from bartizan.server.cli.delivery import BATCH_SPANS

SAMPLE = Path(__file__).parents[3] / "examples" / "sample-traces.ndjson"
SCRIPT = str(Path(sys.executable).with_name("bartizan"))
RNG = random.Random(5)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("live")) as serving:
        yield serving


@pytest.fixture
def environment(serving: Serving) -> dict[str, str]:
    return {"BARTIZAN_ENDPOINT": serving.grpc, "BARTIZAN_API_KEY": serving.key}


def test_a_tail_outlives_its_server(serving: Serving, environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [SCRIPT, "tail", "--json", "--limit", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    ) as tail:  # fmt: skip
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert "Waiting for traces" in tail.stderr.readline()
        first, second = make_span(RNG), make_span(RNG)
        store(serving, first)
        assert json.loads(tail.stdout.readline())["trace_id"] == first.trace_id
        serving.stop()
        assert "The server went away" in tail.stderr.readline()
        serving.start()
        assert "Connected again" in tail.stderr.readline()
        store(serving, second)
        assert json.loads(tail.stdout.readline())["trace_id"] == second.trace_id
    assert tail.returncode == 0


def store(serving: Serving, span: object) -> None:
    with Bartizan(serving.key, serving.grpc) as client:
        assert client.export([span]).stored == 1  # type: ignore[list-item]


def test_a_send_outlives_its_server(
    serving: Serving, environment: dict[str, str], tmp_path: Path
) -> None:
    lines = SAMPLE.read_text().splitlines()
    copies = BATCH_SPANS // len(lines) + 1
    first = [line for number in range(copies) for line in again(lines, number)]
    with subprocess.Popen(
        [SCRIPT, "send", "-", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    ) as send, Bartizan(serving.key, serving.grpc) as client:  # fmt: skip
        assert send.stdin is not None
        send.stdin.write("".join(f"{line}\n" for line in first))
        send.stdin.flush()
        while not list(client.list_traces(1)):
            assert send.poll() is None
        serving.kill()
        serving.start()
        out, _ = send.communicate("".join(f"{line}\n" for line in again(lines, 99)), timeout=90)
    report = json.loads(out)
    assert send.returncode == 0
    assert report["stored"] + report["duplicate"] == report["sent"] == len(first) + len(lines)


def again(lines: list[str], number: int) -> list[str]:
    """Returns the lines as other traces."""
    spans = [json.loads(line) for line in lines]
    return [json.dumps({**one, "trace_id": f"{number:08x}{one['trace_id'][8:]}"}) for one in spans]


def test_an_export_is_what_was_sent_and_goes_into_another_project(
    serving: Serving, environment: dict[str, str], tmp_path: Path
) -> None:
    assert bartizan("send", str(SAMPLE), "--now", **environment).returncode == 0
    filters = ["--since", "2h", "--tag", "support"]
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    assert bartizan("export", *filters, "-o", str(first), **environment).returncode == 0
    with Bartizan(serving.key, serving.grpc) as client:
        project = client.admin.list_projects()
        other = client.admin.create_project("other", next(iter(project)).__class__())
        key = client.admin.create_key(["ingest", "read"], project=other.name).secret
    environment = {**environment, "BARTIZAN_API_KEY": key}
    sent = json.loads(bartizan("send", str(first), "--json", **environment).stdout)
    count = len(first.read_text().splitlines())
    assert (sent["stored"], sent["refused"], count > 20) == (count, 0, True)
    assert bartizan("export", *filters, "-o", str(second), **environment).returncode == 0
    assert second.read_text() == first.read_text()


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Path]]:
    """A server that wants certificates, and the folder of those."""
    folder = tmp_path_factory.mktemp("mutual")
    certificates = make_certificates(folder)
    files = {
        "BARTIZAN_TLS__CERT_FILE": "server.pem",
        "BARTIZAN_TLS__KEY_FILE": "server.key",
        "BARTIZAN_TLS__CLIENT_CA_FILE": "ca.pem",
    }
    variables = {name: str(certificates / file) for name, file in files.items()}
    with unjudged(folder, **variables) as serving:
        yield serving, certificates


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_every_command_speaks_mutual_tls_by_its_profile(
    mutual: tuple[Serving, Path], tmp_path: Path
) -> None:
    serving, certificates = mutual
    home = {"BARTIZAN_CONFIG": str(tmp_path / "config.toml")}
    files = ["--ca-file", "ca.pem", "--cert-file", "client.pem", "--key-file", "client.key"]
    options = ["login", "--profile", "lab", "--endpoint", serving.grpc, *files]
    done = subprocess.run(
        [SCRIPT, *options], input=serving.key, cwd=certificates, text=True, check=False,
        capture_output=True, env={**os.environ, **home},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mutual" in bartizan("profiles", **home).stdout
    sent = bartizan("send", str(SAMPLE), **home)
    assert (sent.returncode, sent.stderr) == (0, "")
    trace = json.loads(bartizan("traces", "--limit", "1", "--json", **home).stdout)
    for command in (
        ["trace", trace["trace_id"]], ["sessions"], ["keys", "list"], ["projects", "list"],
        ["export", "--limit", "1"],
    ):  # fmt: skip
        done = bartizan(*command, "--profile", "lab", **home)
        assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_what_is_wrong_with_tls_is_told(mutual: tuple[Serving, Path], tmp_path: Path) -> None:
    serving, certificates = mutual
    home = {"BARTIZAN_CONFIG": str(tmp_path / "config.toml"), "BARTIZAN_API_KEY": "x"}
    ca = ["--ca-file", str(certificates / "ca.pem")]
    server = ["traces", "--endpoint", f"https://{serving.grpc}"]
    assert "not signed by an authority that is known here" in bartizan(*server, **home).stderr
    half = bartizan(*server, *ca, "--cert-file", "x", **home)
    assert (half.returncode, "cert_file and key_file together" in half.stderr) == (2, True)
    for done in (bartizan(*server, *ca, **home), bartizan("traces", "--endpoint", serving.grpc)):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_project_is_known_by_its_id(environment: dict[str, str]) -> None:
    assert bartizan("projects", "create", "checkout", **environment).returncode == 0
    assert (
        bartizan("projects", "update", "checkout", "--name", "Till", **environment).returncode == 0
    )
    shown = bartizan("projects", "get", "checkout", "--json", **environment).stdout
    assert json.loads(shown)["display_name"] == "Till"


def test_a_file_that_is_not_there_is_told(environment: dict[str, str]) -> None:
    checked = bartizan("check", "nofile.txt", **environment)
    assert checked.returncode == 0
    assert "There is no file nofile.txt" in checked.stderr
    assert bartizan("check", "Hello.", **environment).stderr == ""
