"""Finds out why nothing arrives, and says it in one sentence."""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING

from bartizan.client._calls.errors import (
    BartizanError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unimplemented,
)

if TYPE_CHECKING:
    from bartizan.client._calls.channel import Certificates, Target

PROBE_TIMEOUT_S = 2.0
"""For each step; long enough for a far server, and the sender has nothing better to do."""
MAX_MESSAGE_CHARS = 200
HTTP_PORTS = {"8080", "4318", "80", "443"}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""How every HTTP/2 client begins: a fixed text and a frame of empty settings."""
_SETTINGS = 4
_TLS_ALERT = b"\x15\x03"
_EXPIRED, _NOT_YET_VALID, _WRONG_NAMES = 10, 9, (62, 64)
"""What OpenSSL calls them; one of the wrong names is an address."""
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


def explain(target: Target, error: BartizanError) -> str:
    """Returns what is wrong and what to do about it; may take a few seconds.

    Connects to the server once or twice when the error itself does not tell.
    """
    known = _known(target, error)
    if not known and not error.reason:
        known = _probe(target) or _through_proxy()
    return known or _said(target, error)


def _known(target: Target, error: BartizanError) -> str:
    where = target.address
    if isinstance(error, Unauthenticated):
        if not target.metadata:
            return "no API key is given; pass api_key=... or set BARTIZAN_API_KEY"
        return f"{where} does not accept the API key: it is unknown, expired or revoked"
    if isinstance(error, PermissionDenied):
        if error.reason == "MISSING_SCOPE":
            return "the API key lacks the scope ingest; make one that has it"
        return f"{where} does not let this API key write: {line(error.message)}"
    if isinstance(error, (Unimplemented, NotFound)):
        return f"what answers at {where} is not Bartizan, or an older one; check the endpoint"
    if isinstance(error, ResourceExhausted) and error.retryable:
        return f"{where} is overloaded or the quota is used up; what waits is sent later"
    return ""


def _said(target: Target, error: BartizanError) -> str:
    kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    return f"{target.address} says {error.reason or kind}: {line(error.message)}"


def line(text: str) -> str:
    """Returns a text of the server as one short line."""
    return " ".join(text.split())[:MAX_MESSAGE_CHARS].rstrip(".")


def _probe(target: Target) -> str:
    """Returns what is found by connecting; empty when nothing is wrong so far."""
    try:
        with _connect(target.address) as sock:
            if target.certificates is not None:
                return _probe_tls(target, target.certificates, sock)
            return _probe_plain(target, sock)
    except socket.gaierror:
        return f"the name in {target.address} is not known; check the endpoint"
    except ConnectionRefusedError:
        return f"nothing listens at {target.address}; start the server or check the endpoint"
    except FileNotFoundError:
        return f"there is no socket at {target.address}; start the server or check the endpoint"
    except socket.timeout:
        return f"{target.address} does not answer: a firewall, or the wrong address"
    except OSError as error:
        return f"{target.address} cannot be reached: {error.strerror or type(error).__name__}"


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(PROBE_TIMEOUT_S)
            sock.connect(re.sub(r"^unix:(//(?=/))?", "", address))
        except BaseException:
            sock.close()
            raise
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PROBE_TIMEOUT_S)


def _probe_plain(target: Target, sock: socket.socket) -> str:
    where = target.address
    try:
        sock.sendall(PREFACE)
        answer = sock.recv(16)
    except socket.timeout:
        return f"{where} takes connections but says nothing; check the endpoint"
    except ConnectionError:
        answer = b""
    if answer.startswith(_TLS_ALERT) or (not answer and _speaks_tls(where)):
        return f"{where} wants TLS; use https://{where} or give tls=Tls(ca_file=...)"
    # Some old servers answer what they do not understand with a bare page.
    if answer.startswith((b"HTTP/", b"<")):
        return f"{where} speaks HTTP/1, not gRPC; {_port_hint(where)}"
    if not answer:
        return f"{where} closes the connection; check the endpoint"
    if answer[3:4] != bytes([_SETTINGS]):
        return f"{where} speaks another protocol than gRPC; check the port"
    return ""


def _port_hint(address: str) -> str:
    port = address.rpartition(":")[2]
    if port in HTTP_PORTS:
        return f"{port} is a port for HTTP, use the one for gRPC, 4317 unless it was changed"
    return "use the port for gRPC, 4317 unless it was changed"


def _speaks_tls(address: str) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connect(address) as sock, context.wrap_socket(sock):
            return True
    except OSError:
        return False


def _probe_tls(target: Target, files: Certificates, sock: socket.socket) -> str:
    where = target.address
    context = ssl.create_default_context(
        cadata=files.roots.decode(errors="replace") if files.roots else None
    )
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(sock, server_hostname=_host(where)) as secure:
            if secure.selected_alpn_protocol() != "h2":
                return f"{where} speaks TLS but not gRPC; {_port_hint(where)}"
            return _after_handshake(where, secure)
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {where} {_distrust(error.verify_code)}"
    except ssl.SSLError as error:
        if "CERTIFICATE_REQUIRED" in (error.reason or ""):
            return _wants_certificate(where)
        return f"{where} does not speak TLS; use http://{where} and no tls=, or check the port"
    except ConnectionError:
        return f"{where} does not speak TLS; use http://{where} and no tls=, or check the port"


def _after_handshake(where: str, secure: ssl.SSLSocket) -> str:
    """Finds out whether the server ends what it let begin, for want of a client certificate."""
    try:
        secure.sendall(PREFACE)
        return "" if secure.recv(1) else _wants_certificate(where)
    except ssl.SSLError:
        return _wants_certificate(where)


def _wants_certificate(where: str) -> str:
    return f"{where} wants a certificate of this client; give tls=Tls(cert_file=..., key_file=...)"


def _distrust(code: int) -> str:
    if code == _EXPIRED:
        return "has expired"
    if code == _NOT_YET_VALID:
        return "is not valid yet; check the clocks"
    if code in _WRONG_NAMES:
        return "is for another name; use the name that it is for in the endpoint"
    return "is not trusted; give the authority that signed it with tls=Tls(ca_file=...)"


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or "localhost"


def _through_proxy() -> str:
    for name in _PROXIES:
        for variable in (name, name.upper()):
            if os.environ.get(variable):
                return f"the proxy of {variable} does not pass gRPC; add the server to NO_PROXY"
    return ""
