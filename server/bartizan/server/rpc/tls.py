"""Certificates for both doors, from files."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from bartizan.plugins.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files. With `client_ca`, callers must show a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials for gRPC; raises ConfigError when a file is not usable."""
        pair = (_read(self.key, "tls.key"), _read(self.certificate, "tls.certificate"))
        roots = _read(self.client_ca, "tls.client_ca") if self.client_ca else None
        # gRPC takes any bytes here and then says that it cannot listen; this says what is wrong.
        self.ssl_context()
        return grpc.ssl_server_credentials(
            [pair], root_certificates=roots, require_client_auth=roots is not None
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Returns the context for HTTP; raises ConfigError when a file is not what it should be."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:
            raise ConfigError(
                "TLS_FILES", f"the TLS files cannot be used: {error.strerror or error}", field="tls"
            ) from error
        return context


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "TLS_FILES", f"{field}: cannot read {path}: {error.strerror}", field=field
        ) from error
