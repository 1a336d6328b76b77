"""The connections of a delivery, made anew so that none is trusted for longer than it lives."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from bartizan.client._calls.channel import dial
from bartizan.client._calls.errors import Unavailable, from_rpc
from bartizan.client._calls.outbox import Limits
from bartizan.client._calls.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from bartizan.client._calls.channel import Target
    from bartizan.client._calls.retry import Backoff
    from bartizan.client._calls.stream import Call, Watch
    from bartizan.v1 import trace_pb2

STREAM = "stream"
CALLS = "calls"
CLOSED = "CLIENT_CLOSED"
"""The reason of an error that this side has brought about."""
COOLING_S = 1.0
"""By then gRPC has long ended its threads."""
_NO_LIMITS = Limits(batches=2**31, bytes=2**62)


class Wire:
    """Opens streams and makes calls. Imports grpc when it is first used.

    A channel is used for one connection only: after a failure, or when the process was frozen for a
    while, a new one finds out at once whether the server is there, and under which address.
    """

    def __init__(self, target: Target, *, gzip: bool, backoff: Backoff) -> None:
        self._target = target
        self._gzip = gzip
        self._backoff = backoff
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()
        self._closed_at = float("-inf")

    @property
    def is_warm(self) -> bool:
        """True if a connection is open, or was a moment ago."""
        return bool(self._channels) or time.monotonic() - self._closed_at < COOLING_S

    def open_stream(self, watch: Watch) -> Stream:
        """Returns a stream that reconnects by itself; its caller bounds what is on its way."""
        from bartizan.v1 import trace_pb2

        return Stream(
            self._dial,
            trace_pb2.StreamOpen(stream_id=str(uuid.uuid4())),
            backoff=self._backoff,
            limits=_NO_LIMITS,
            max_attempts=None,
            sleep=None,
            watch=watch,
        )

    def call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        """Calls a unary method with serialized messages; raises BartizanError."""
        import grpc

        try:
            channel = self._channels.get(CALLS) or self._new_channel(CALLS)
            send: Any = channel.unary_unary(method)
            response: bytes = send(request, metadata=self._target.metadata, timeout=timeout_s)
            return response
        except grpc.RpcError as raised:
            error = from_rpc(raised)
            if isinstance(error, Unavailable):
                self._drop(CALLS)
            raise error from None
        except ValueError as raised:
            # What grpc raises for a channel that is closed meanwhile.
            raise Unavailable("The connection was closed.", reason=CLOSED) from raised

    def close(self, name: str | None = None) -> None:
        """Closes that connection, or all; what is under way on it fails."""
        for one in (STREAM, CALLS) if name is None else (name,):
            self._drop(one)

    def _dial(self, requests: Iterator[trace_pb2.StreamTracesRequest]) -> Call:
        from bartizan.v1 import trace_pb2_grpc

        stub: Any = trace_pb2_grpc.IngestServiceStub(self._new_channel(STREAM))
        try:
            call: Call = stub.StreamTraces(requests, metadata=self._target.metadata)
        except RuntimeError as error:
            # No thread can be started any more: the interpreter is shutting down.
            raise ValueError from error
        return call

    def _new_channel(self, name: str) -> grpc.Channel:
        channel = dial(self._target, gzip=self._gzip, alone=True)
        with self._lock:
            old = self._channels.pop(name, None)
            self._channels[name] = channel
        if old is not None:
            old.close()
        return channel

    def _drop(self, name: str) -> None:
        with self._lock:
            channel = self._channels.pop(name, None)
        if channel is not None:
            channel.close()
            self._closed_at = time.monotonic()
