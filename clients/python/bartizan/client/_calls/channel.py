"""Where the server is and how the way there is secured."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.client._calls.errors import InvalidArgument

if TYPE_CHECKING:
    import grpc

DEFAULT_ENDPOINT = "localhost:4317"
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The server's own limit; gRPC's 4 MiB would refuse pages of long spans."""
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/@]+):\d{1,5}|unix:\S+")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|(0*:)*0*1")
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Finds out about a silently dead connection while a stream waits for acks.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Waiting between attempts is this package's own job; gRPC would wait up to two minutes.
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True)
class Tls:
    """The files for an encrypted connection, all in PEM form.

    Attributes:
        ca_file: who signs the server's certificate; empty means the roots that gRPC ships.
        cert_file: the client's own certificate, for mutual TLS.
        key_file: the key of cert_file.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def read(self) -> Certificates:
        """Returns what is in the files.

        Raises:
            InvalidArgument: a file is missing, or only one of cert_file and key_file is given.
        """
        if bool(self.cert_file) != bool(self.key_file):
            raise InvalidArgument("TLS needs cert_file and key_file together.", reason="TLS_HALF")
        return Certificates(
            *(_read(name) for name in (self.ca_file, self.key_file, self.cert_file))
        )


@dataclass(frozen=True)
class Certificates:
    """What is in the files of `Tls`, in PEM form; None where there is none.

    Attributes:
        roots: who may sign the server's certificate.
        private_key: of the client.
        chain: the client's certificate.
    """

    roots: bytes | None = None
    private_key: bytes | None = field(default=None, repr=False)
    chain: bytes | None = None


def _read(name: str) -> bytes | None:
    if not name:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InvalidArgument(
            f"The TLS file {name} cannot be read: {error.strerror}.", reason="TLS_FILE_UNREADABLE"
        ) from error


@dataclass(frozen=True)
class Target:
    """One server as a client sees it.

    Attributes:
        address: host and port.
        certificates: None for a connection without TLS.
        metadata: goes with every call; holds the key.
    """

    address: str
    certificates: Certificates | None
    metadata: tuple[tuple[str, str | bytes], ...] = field(repr=False)

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """What gRPC needs for TLS; None without."""
        if self.certificates is None:
            return None
        import grpc

        files = self.certificates
        return grpc.ssl_channel_credentials(files.roots, files.private_key, files.chain)

    @property
    def is_local(self) -> bool:
        """True if the server is on this machine."""
        host = self.address.rpartition(":")[0].strip("[]")
        return self.address.startswith("unix:") or bool(_LOOPBACK.fullmatch(host))


def resolve(api_key: str | None, endpoint: str | None, tls: Tls | None) -> Target:
    """Returns the target for the arguments, or where they are None for the environment.

    Raises:
        InvalidArgument: the endpoint is not of its form, or a TLS file cannot be read.
    """
    # A key read from a file often brings its line end along.
    key = (api_key if api_key is not None else os.environ.get("BARTIZAN_API_KEY", "")).strip()
    where = endpoint or os.environ.get("BARTIZAN_ENDPOINT") or DEFAULT_ENDPOINT
    scheme, found, address = where.rpartition("://")
    address = address.rstrip("/")
    if (found and scheme not in ("http", "https")) or not _ADDRESS.fullmatch(address):
        raise InvalidArgument(
            f"The endpoint {where!r} must be HOST:PORT, http://HOST:PORT or https://HOST:PORT.",
            reason="ENDPOINT_MALFORMED",
        )
    if scheme == "https" and tls is None:
        tls = Tls()
    return Target(
        address,
        tls.read() if tls is not None else None,
        (("authorization", f"Bearer {key}"),) if key else (),
    )


def dial(target: Target, *, gzip: bool = False, alone: bool = False) -> grpc.Channel:
    """Returns a channel; it connects when it is first used.

    Args:
        target: the server.
        gzip: compress what is sent.
        alone: share the connection with no other channel of this process.
    """
    import grpc

    options = (*OPTIONS, ("grpc.use_local_subchannel_pool", int(alone)))
    compression = grpc.Compression.Gzip if gzip else None
    credentials = target.credentials
    if credentials is None:
        return grpc.insecure_channel(target.address, options, compression)
    return grpc.secure_channel(target.address, credentials, options, compression)
