"""Why nothing arrives is said in one sentence that tells what to do."""

import http.server
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from tests.client.delivering import PROMPT, WAIT_S, Note, delivery, free_place, place
from tests.client.fake_ingest import KEY
from tests.support.certificates import make_certificates

from bartizan.client import (
    BartizanError,
    Internal,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Tls,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from bartizan.client._calls.channel import Target, resolve
from bartizan.client._delivery.delivery import Delivery
from bartizan.client._delivery.diagnosis import explain

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def why(where: str, **options: object) -> str:
    """Returns what a delivery says that sends to that place."""
    with delivery(where, PROMPT, **options) as one:  # type: ignore[arg-type]
        one.put(Note(1))
        return said(one)


def said(one: Delivery) -> str:
    changed = one._engine.store.changed
    with changed:
        for _ in range(400):
            if one.stats.last_error:
                break
            changed.wait(WAIT_S / 400)
        return one.stats.last_error


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Yields where a server is that does so with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def credentials(folder: Path, name: str = "server", *, mutual: bool = False) -> object:
    pair = ((folder / f"{name}.key").read_bytes(), (folder / f"{name}.pem").read_bytes())
    roots = (folder / "ca.pem").read_bytes()
    return grpc.ssl_server_credentials([pair], roots if mutual else None, mutual)


def trust(folder: Path) -> Tls:
    return Tls(ca_file=str(folder / "ca.pem"))


def test_nobody_is_there() -> None:
    there = free_place()
    assert why(there.endpoint) == (
        f"nothing arrives: nothing listens at {there.endpoint};"
        " start the server or check the endpoint"
    )


def test_no_such_name() -> None:
    assert "the name in nowhere.invalid:4317 is not known" in why("nowhere.invalid:4317")


def test_no_such_socket(tmp_path: Path) -> None:
    assert "there is no socket" in why(f"unix:{tmp_path / 'none'}")


def test_an_http_server() -> None:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            assert "speaks HTTP/1, not gRPC; use the port for gRPC, 4317" in why(
                f"127.0.0.1:{server.server_port}"
            )
        finally:
            server.shutdown()
            thread.join()


def test_a_server_of_something_else() -> None:
    with answering(lambda one: one.sendall(b"220 mail.example.com ESMTP ready\r\n")) as where:
        assert "speaks another protocol than gRPC; check the port" in why(where)


def test_a_server_that_hangs_up() -> None:
    with answering(lambda one: one.recv(1_000)) as where:
        assert "closes the connection; check the endpoint" in why(where)


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bartizan.client._delivery.diagnosis.PROBE_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        assert explain(resolve(KEY, where, None), Unavailable("no")) == (
            f"{where} takes connections but says nothing; check the endpoint"
        )


@needs_openssl
def test_the_server_speaks_tls_and_we_do_not(certificates: Path) -> None:
    with place(credentials=credentials(certificates)) as there:
        assert f"wants TLS; use https://{there.endpoint}" in why(there.endpoint)


@needs_openssl
def test_a_tls_server_that_says_nothing_to_strangers(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")

    def answer(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            context.wrap_socket(connection, server_side=True).close()

    with answering(answer) as where:
        assert "wants TLS" in explain(resolve(KEY, where, None), Unavailable("no"))


@needs_openssl
def test_we_speak_tls_and_the_server_does_not(certificates: Path) -> None:
    with place() as there:
        assert f"does not speak TLS; use http://{there.endpoint}" in why(
            there.endpoint, tls=trust(certificates)
        )


@needs_openssl
def test_a_certificate_that_nobody_vouches_for(certificates: Path) -> None:
    with place(credentials=credentials(certificates)) as there:
        assert "is not trusted; give the authority" in why(there.endpoint, tls=Tls())


@needs_openssl
def test_a_certificate_for_another_name(certificates: Path, tmp_path: Path) -> None:
    sign(certificates, tmp_path, "DNS:elsewhere.example.com", "-days", "9")
    with place(credentials=credentials(tmp_path)) as there:
        assert "is for another name" in why(there.endpoint, tls=trust(certificates))


@needs_openssl
def test_a_certificate_that_has_expired(certificates: Path, tmp_path: Path) -> None:
    sign(certificates, tmp_path, "IP:127.0.0.1", "-days", "-1")
    with place(credentials=credentials(tmp_path)) as there:
        assert "has expired" in why(there.endpoint, tls=trust(certificates))


@needs_openssl
def test_a_server_that_wants_to_see_a_certificate(certificates: Path) -> None:
    with place(credentials=credentials(certificates, mutual=True)) as there:
        assert "wants a certificate of this client" in why(there.endpoint, tls=trust(certificates))


@needs_openssl
def test_tls_works_when_all_is_right(certificates: Path) -> None:
    with (
        place(credentials=credentials(certificates)) as there,
        delivery(there, PROMPT, tls=trust(certificates)) as one,
    ):
        one.put(Note(1))
        assert one.flush(WAIT_S)
        assert one.stats.last_error == ""


def sign(authority: Path, folder: Path, names: str, *options: str) -> None:
    """Makes server.pem and server.key, and ca.pem beside them."""
    shutil.copy(authority / "ca.pem", folder)
    (folder / "names").write_text(f"subjectAltName={names}")
    for command in (
        ["req", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr",
         "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ["x509", "-req", "-CA", str(authority / "ca.pem"), "-CAkey", str(authority / "ca.key"),
         "-in", "server.csr", "-out", "server.pem", "-extfile", "names", "-set_serial", "7",
         *options],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


HERE = resolve("btz_key", "server.example.com:4317", None)
NO_KEY = resolve("", "server.example.com:4317", None)


@pytest.mark.parametrize(
    ("target", "error", "sentence"),
    [
        (HERE, Unauthenticated("no", reason="INVALID_KEY"), "does not accept the API key"),
        (NO_KEY, Unauthenticated("no", reason="MISSING_KEY"), "set BARTIZAN_API_KEY"),
        (HERE, PermissionDenied("no", reason="MISSING_SCOPE"), "lacks the scope ingest"),
        (HERE, PermissionDenied("closed", reason="OTHER"), "let this API key write: closed"),
        (HERE, Unimplemented("no"), "is not Bartizan, or an older one"),
        (HERE, NotFound("no", reason="X"), "is not Bartizan, or an older one"),
        (HERE, ResourceExhausted("no", reason="QUEUE_FULL", retry_delay_s=1.0), "overloaded"),
        (HERE, Unavailable("it is\naway.", reason="DATABASE"), "says DATABASE: it is away"),
        (HERE, Internal("broken", reason="X"), "says X: broken"),
    ],
)
def test_what_the_server_says_is_put_plainly(
    target: Target, error: BartizanError, sentence: str
) -> None:
    found = explain(target, error)
    assert sentence in found
    assert "btz_key" not in found
    assert "\n" not in found


def test_a_long_message_is_cut() -> None:
    assert len(explain(HERE, Internal("x" * 9_999, reason="X"))) < 300


def test_ports_for_http_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr("bartizan.client._delivery.diagnosis._connect", lambda address: ours)
        theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n")
        found = explain(resolve(KEY, "127.0.0.1:8080", None), Unavailable("no"))
    assert "8080 is a port for HTTP, use the one for gRPC, 4317" in found


def test_a_proxy_in_between_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    with place() as there:
        found = explain(resolve(KEY, there.endpoint, None), Unavailable("no"))
    assert "the proxy of HTTPS_PROXY does not pass gRPC" in found


def test_debug_says_it_on_stderr_and_says_when_it_works(capfd: pytest.CaptureFixture[str]) -> None:
    there = free_place()
    with delivery(there, PROMPT, debug=True) as one:
        one.put(Note(1))
        assert said(one)
        there.open()
        assert one.shutdown(WAIT_S)
        there.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("bartizan")]
    assert lines == [
        f"bartizan: nothing arrives: nothing listens at {there.endpoint};"
        " start the server or check the endpoint",
        f"bartizan: connected to {there.endpoint}, spans arrive",
    ]
