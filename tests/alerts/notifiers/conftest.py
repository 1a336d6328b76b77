"""Certificates and TLS contexts for peers on this machine."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.alerts.notifiers.http_peer import Peer, answering, http_peer
from tests.support.certificates import make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, server.pem and server.key."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server_context(certificates: Path) -> ssl.SSLContext:
    """What a peer speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A server that takes everything."""
    async with http_peer(answering(200)) as running:
        yield running
