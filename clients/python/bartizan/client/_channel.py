"""Where the server is and how the way there is secured."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import grpc

from bartizan.client._errors import InvalidArgument

DEFAULT_ENDPOINT = "localhost:4317"
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The server's own limit; gRPC's 4 MiB would refuse pages of long spans."""
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/@]+):\d{1,5}|unix:\S+")
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

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns what gRPC needs.

        Raises:
            InvalidArgument: a file is missing, or only one of cert_file and key_file is given.
        """
        if bool(self.cert_file) != bool(self.key_file):
            raise InvalidArgument("TLS needs cert_file and key_file together.", reason="TLS_HALF")
        ca, key, cert = (_read(name) for name in (self.ca_file, self.key_file, self.cert_file))
        return grpc.ssl_channel_credentials(ca, key, cert)


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
        credentials: None for a connection without TLS.
        metadata: goes with every call; holds the key.
    """

    address: str
    credentials: grpc.ChannelCredentials | None
    metadata: tuple[tuple[str, str | bytes], ...]


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
        tls.credentials() if tls is not None else None,
        (("authorization", f"Bearer {key}"),) if key else (),
    )


def dial(target: Target) -> grpc.Channel:
    """Returns a channel; it connects when it is first used."""
    if target.credentials is None:
        return grpc.insecure_channel(target.address, OPTIONS)
    return grpc.secure_channel(target.address, target.credentials, OPTIONS)
