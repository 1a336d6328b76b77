"""TLS and mutual TLS, by files, at both doors; and no open door to strangers."""

import random
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.certificates import make_certificates
from tests.support.servers import bartizan, refusal, unjudged
from tests.support.serving import Serving
from tests.support.spans import make_span

from bartizan.client import Bartizan, Tls, Unavailable

RNG = random.Random(1)
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with TLS, by its config file."""
    folder = tmp_path_factory.mktemp("tls")
    files = {"cert_file": "server.pem", "key_file": "server.key"}
    config = folder / "bartizan.yaml"
    config.write_text(
        yaml.safe_dump({"tls": {name: str(certificates / file) for name, file in files.items()}})
    )
    with unjudged(folder, "--config", str(config)) as serving:
        yield serving


@pytest.fixture(scope="module")
def mutual(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with mutual TLS, by the environment, and two processes."""
    files = {
        "BARTIZAN_TLS__CERT_FILE": "server.pem",
        "BARTIZAN_TLS__KEY_FILE": "server.key",
        "BARTIZAN_TLS__CLIENT_CA_FILE": "ca.pem",
    }
    variables = {name: str(certificates / file) for name, file in files.items()}
    folder = tmp_path_factory.mktemp("mutual")
    with unjudged(folder, "--workers", "2", **variables) as serving:
        yield serving


def trust(certificates: Path, *, show: bool) -> Tls:
    """Returns a client's files; with `show` it has a certificate of its own."""
    if not show:
        return Tls(str(certificates / "ca.pem"))
    return Tls(*(str(certificates / name) for name in ("ca.pem", "client.pem", "client.key")))


def context(certificates: Path, *, show: bool) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if show:
        made.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    return made


def export(serving: Serving, tls: Tls | None) -> int:
    """Sends a span over gRPC and reads it back; returns how many spans its trace has."""
    span = make_span(RNG)
    with Bartizan(serving.key, serving.grpc, tls, max_attempts=1, timeout_s=10) as client:
        assert client.export([span]).stored == 1
        return len(client.get_trace(span.trace_id).spans)


def post_nothing(url: str, key: str, context: ssl.SSLContext | None) -> int:
    """Sends an empty OTLP export; returns the status."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/v1/traces", b"{}", headers)
    with urllib.request.urlopen(request, timeout=10, context=context) as response:
        return int(response.status)


@needs_openssl
def test_both_doors_speak_tls(encrypted: Serving, certificates: Path) -> None:
    assert export(encrypted, trust(certificates, show=False)) == 1
    url = f"https://{encrypted.http}"
    assert post_nothing(url, encrypted.key, context(certificates, show=False)) == 200


@needs_openssl
def test_the_command_line_speaks_tls(encrypted: Serving, certificates: Path) -> None:
    options = ["--endpoint", encrypted.grpc, "--ca-file", str(certificates / "ca.pem")]
    done = bartizan("traces", "--json", *options, "--api-key", encrypted.key)
    assert (done.returncode, done.stderr) == (0, "")


@needs_openssl
def test_plain_text_gets_nowhere(encrypted: Serving) -> None:
    with pytest.raises(Unavailable):
        export(encrypted, None)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        post_nothing(f"http://{encrypted.http}", encrypted.key, None)


@needs_openssl
def test_mutual_tls_lets_in_who_shows_a_certificate(mutual: Serving, certificates: Path) -> None:
    assert export(mutual, trust(certificates, show=True)) == 1
    shown = context(certificates, show=True)
    assert post_nothing(f"https://{mutual.http}", mutual.key, shown) == 200


@needs_openssl
def test_mutual_tls_keeps_out_who_shows_none(mutual: Serving, certificates: Path) -> None:
    with pytest.raises(Unavailable):
        export(mutual, trust(certificates, show=False))
    with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
        post_nothing(f"https://{mutual.http}", mutual.key, context(certificates, show=False))


@needs_openssl
def test_unusable_tls_files_are_refused(
    certificates: Path, encrypted: Serving, tmp_path: Path
) -> None:
    doors = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    database = ["--database-url", encrypted.database_url, *encrypted.options[:2]]
    serve = ["serve", "--data-dir", str(tmp_path), *doors, *database]
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    key = str(certificates / "server.key")
    for workers, certificate in (("1", garbage), ("2", tmp_path / "absent.pem")):
        pair = {"BARTIZAN_TLS__CERT_FILE": str(certificate), "BARTIZAN_TLS__KEY_FILE": key}
        said = refusal(*serve, "--workers", workers, **pair)
        assert "tls" in said.lower(), said
    assert "belong together" in refusal(*serve, BARTIZAN_TLS__KEY_FILE=key)


@pytest.mark.parametrize("door", ["--grpc-listen", "--http-listen"])
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_no_open_door_to_strangers(door: str, host: str, tmp_path: Path) -> None:
    off = {"BARTIZAN_AUTH__ENABLED": "false"}
    said = refusal("serve", "--data-dir", str(tmp_path / "data"), door, f"{host}:0", **off)
    assert door.removeprefix("--").replace("-", "_") in said
    assert "auth" in said
    assert not (tmp_path / "data").exists(), "nothing was started"
