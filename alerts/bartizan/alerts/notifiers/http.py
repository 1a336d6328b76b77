"""The one way in which channels speak HTTP: a POST to a checked address, and its answer."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

from bartizan.alerts.notifiers.dialing import Dialer, Streams
from bartizan.plugins.notification import Cause, NotifyError, Permanent, Retryable

MAX_ANSWER_BYTES = 64 * 1_024
"""What a channel has to say is never longer; the rest is not read."""

MAX_HEADER_BYTES = 32 * 1_024
READ_BYTES = 16 * 1_024
MAX_RETRY_AFTER_SECONDS = 3_600.0
AGENT = "Bartizan"


class Target(NamedTuple):
    """Where a request goes. `path` includes the query."""

    tls: bool
    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        body: empty if it was longer than MAX_ANSWER_BYTES.
        retry_after_s: what `Retry-After` says, in seconds, at most an hour.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None


def target_of(url: str, *, allow_plain: bool) -> Target:
    """Returns where `url` leads. Raises ValueError, without quoting it, if that is nowhere."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not (url.isascii() and url.isprintable() and " " not in url and host):
        raise ValueError("it is not an address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it holds a user name or a password")
    if parts.scheme != "https" and not (allow_plain and parts.scheme == "http"):
        raise ValueError("it does not begin with https://")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    tls = parts.scheme == "https"
    return Target(tls, host, port or (443 if tls else 80), path)


def reached(url: str, key: str, *, allow_plain: bool) -> Target:
    """Returns where `url`, the value of `key`, leads. Raises Permanent if that is nowhere."""
    try:
        return target_of(url, allow_plain=allow_plain)
    except ValueError as error:
        problem = str(error)
    raise Permanent(f"'{key}' cannot be used: {problem}", Cause.CLIENT)


class HttpClient:
    """Posts documents for one channel. Follows no redirect, reuses no connection."""

    def __init__(
        self,
        dialer: Dialer,
        timeout_s: float,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`timeout_s` is what one request may take from beginning to end."""
        self._dialer = dialer
        self._timeout_s = timeout_s
        self._clock = clock

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """Returns the answer, whatever its status.

        Raises Retryable if none came, Permanent if the other side may not or cannot be trusted.
        """
        failure: NotifyError
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchanged(target, headers, body)
        except (OSError, h11.RemoteProtocolError) as error:
            failure = told(error)
        # Out here nothing of what was caught, which may quote what came back, hangs on to it.
        raise failure

    async def _exchanged(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        streams = await self._dialer.open(target.host, target.port, tls=target.tls)
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)
            await _send(connection, streams, target, headers, body)
            return await self._received(connection, streams)
        finally:
            # Nobody waits for a goodbye: the other side may never say one.
            streams[1].transport.abort()

    async def _received(self, connection: h11.Connection, streams: Streams) -> Answer:
        response, body = None, b""
        while len(body) <= MAX_ANSWER_BYTES:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await streams[0].read(READ_BYTES))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        if response is None:
            raise ConnectionResetError
        after = dict(response.headers).get(b"retry-after")
        shown = body if len(body) <= MAX_ANSWER_BYTES else b""
        return Answer(response.status_code, shown, seconds_of(after, self._clock()))


async def _send(
    connection: h11.Connection,
    streams: Streams,
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
) -> None:
    default = 443 if target.tls else 80
    host = f"[{target.host}]" if ":" in target.host else target.host
    sent = {
        "Host": host if target.port == default else f"{host}:{target.port}",
        "User-Agent": AGENT,
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    request = h11.Request(method="POST", target=target.path, headers=list(sent.items()))
    writer = streams[1]
    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    try:
        await writer.drain()
    except ConnectionError:
        # It may have answered before it stopped listening: 413 does.
        return


def told(error: Exception) -> NotifyError:
    """Returns what is said about a connection that failed: kinds, never words that came back."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Permanent("the other side's certificate is not trusted", Cause.CLIENT)
    if isinstance(error, TimeoutError):
        return Retryable("no answer in time", cause=Cause.DEADLINE)
    if isinstance(error, h11.RemoteProtocolError):
        return Retryable("an answer that is no HTTP", cause=Cause.SERVER)
    return Retryable(f"no connection, or a broken one: {type(error).__name__}")


def seconds_of(after: bytes | None, now: datetime) -> float | None:
    """Returns a `Retry-After`, seconds or a date, in seconds from `now`; None if it is neither."""
    text = (after or b"").decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), MAX_RETRY_AFTER_SECONDS)
    try:
        wait_s = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_SECONDS)
