import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.server.rpc.doors import KEY, TRACES, House

from bartizan.plugins.errors import ConfigError
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.server.rpc.tls import Tls
from bartizan.server.web_serve import bind, serve_http

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

Sign = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ca.pem, and server and client certificates that it signed."""
    folder = tmp_path_factory.mktemp("tls")
    _openssl(folder, "req -x509 -subj /CN=ca -keyout ca.key -out ca.pem")
    for name in ("server", "client"):
        (folder / "extensions").write_text("subjectAltName=DNS:localhost")
        _openssl(folder, f"req -subj /CN={name} -keyout {name}.key -out {name}.csr")
        _sign(folder, f"-in {name}.csr -out {name}.pem -extfile extensions")
    return folder


def _openssl(folder: Path, arguments: str) -> None:
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    subprocess.run(
        ["openssl", *arguments.split(), *curve.split()], cwd=folder, check=True, capture_output=True
    )


def _sign(folder: Path, arguments: str) -> None:
    command = f"openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial {arguments}"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


def _tls(folder: Path, *, mutual: bool) -> Tls:
    authority = folder / "ca.pem" if mutual else None
    return Tls(folder / "server.pem", folder / "server.key", authority)


def _credentials(folder: Path, *, show: bool) -> grpc.ChannelCredentials:
    roots = (folder / "ca.pem").read_bytes()
    if not show:
        return grpc.ssl_channel_credentials(roots)
    pair = ((folder / "client.key").read_bytes(), (folder / "client.pem").read_bytes())
    return grpc.ssl_channel_credentials(roots, *pair)


@pytest.mark.parametrize(
    ("mutual", "show", "welcome"),
    [(False, False, True), (True, True, True), (True, False, False)],
)
async def test_grpc(folder: Path, mutual: bool, show: bool, welcome: bool) -> None:
    house, tls = House(), _tls(folder, mutual=mutual)
    credentials = _credentials(folder, show=show)
    async with (
        serve_grpc([house.traces], house.gate, host="127.0.0.1", port=0, tls=tls) as running,
        grpc.aio.secure_channel(f"localhost:{running.port}", credentials) as wire,
    ):
        list_traces: Any = wire.unary_unary(f"{TRACES}/ListTraces")
        code = await list_traces(b"", metadata=(("x-api-key", KEY),)).code()
    assert code is (grpc.StatusCode.OK if welcome else grpc.StatusCode.UNAVAILABLE)


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def _get(port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        return await reader.readline()
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.close()


async def test_http(folder: Path) -> None:
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    async with serve_http(_hello, bind("127.0.0.1", 0), tls=_tls(folder, mutual=True)) as running:
        assert await _get(running.port, client) == b""
        client.load_cert_chain(folder / "client.pem", folder / "client.key")
        assert await _get(running.port, client) == b"HTTP/1.1 204 No Content\r\n"


def test_files_that_are_not_there(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "none.pem", tmp_path / "none.key")
    for use in (tls.grpc_credentials, tls.ssl_context):
        with pytest.raises(ConfigError):
            use()
