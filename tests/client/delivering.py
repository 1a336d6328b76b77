"""A server that comes and goes on one port, and what is delivered to it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from tests.client.fake_ingest import KEY, STOP_S, FakeIngest

from bartizan.client._calls.channel import Tls, resolve
from bartizan.client._calls.retry import Backoff
from bartizan.client._delivery.delivery import Delivery, Sending
from bartizan.client._delivery.stats import Stats
from bartizan.client._record import FEEDBACK, OTLP, SPAN
from bartizan.v1 import common_pb2, evaluation_pb2, evaluation_pb2_grpc, trace_pb2_grpc

WAIT_S = 20.0
QUICK = Backoff(first_s=0.02, longest_s=0.1, random=lambda: 0.01)
PROMPT = Sending(linger_s=0.01)


@dataclass(frozen=True)
class Note:
    """A record for tests: span number so and so."""

    number: int
    name: str = ""
    kind: int = SPAN
    spans: int = 1
    size: int = 100

    def encode(self) -> bytes:
        """Returns a span."""
        return common_pb2.Span(
            trace_id=f"{self.number + 1:032x}", span_id="1" * 16, name=self.name
        ).SerializeToString()


@dataclass(frozen=True)
class Bytes:
    """A record that is encoded already."""

    kind: int
    body: bytes
    spans: int = 0

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return len(self.body)

    def encode(self) -> bytes:
        """Returns the bytes."""
        return self.body


def feedback(number: int) -> Bytes:
    """Returns feedback number so and so."""
    return Bytes(FEEDBACK, evaluation_pb2.Feedback(feedback_id=f"f{number}").SerializeToString())


def otlp(number: int, spans: int) -> Bytes:
    """Returns an OTLP request that stands for so many spans; its bytes are a number."""
    return Bytes(OTLP, bytes([0x0A, 0x02, 0x12, 0x00]) * number, spans)


class FakeFeedback(evaluation_pb2_grpc.EvaluationServiceServicer):
    """Keeps ids of feedback; an empty one is refused."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []

    def RecordFeedback(
        self, request: evaluation_pb2.RecordFeedbackRequest, context: grpc.ServicerContext
    ) -> evaluation_pb2.RecordFeedbackResponse:
        ids = [one.feedback_id for one in request.feedback]
        self.requests.append(ids)
        response = evaluation_pb2.RecordFeedbackResponse(stored=len([one for one in ids if one]))
        for index, one in enumerate(ids):
            if not one:
                response.rejected.add(index=index)
        return response


@dataclass
class Place:
    """One port of this machine, where a server may be.

    Attributes:
        otlp: the requests that came to the OTLP method.
        otlp_answer: what it answers.
    """

    ingest: FakeIngest = field(default_factory=FakeIngest)
    feedback: FakeFeedback | None = field(default_factory=FakeFeedback)
    otlp: list[bytes] = field(default_factory=list)
    otlp_answer: bytes = b""
    credentials: grpc.ServerCredentials | None = None
    port: int = 0
    server: grpc.Server | None = None

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self.port}"

    def open(self) -> "Place":
        """Starts a server, on the same port as before."""
        server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        trace_pb2_grpc.add_IngestServiceServicer_to_server(self.ingest, server)
        if self.feedback is not None:
            evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(self.feedback, server)
        method: Any = grpc.unary_unary_rpc_method_handler(self._export)
        name = "opentelemetry.proto.collector.trace.v1.TraceService"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"Export": method}),)
        )
        address = f"127.0.0.1:{self.port}"
        self.port = (
            server.add_insecure_port(address)
            if self.credentials is None
            else server.add_secure_port(address, self.credentials)
        )
        server.start()
        self.server = server
        return self

    def close(self, grace_s: float | None = None) -> None:
        """Stops the server, if there is one; without a grace what is under way breaks."""
        server, self.server = self.server, None
        if server is not None:
            server.stop(grace_s).wait()

    def _export(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.otlp.append(request)
        return self.otlp_answer


@contextmanager
def place(**fields: Any) -> Iterator[Place]:
    """Yields a place with a server, which is gone afterwards."""
    made = Place(**fields).open()
    try:
        yield made
    finally:
        made.ingest.gate.set()
        made.close(STOP_S)


def free_place() -> Place:
    """Returns a place without a server, on a port of its own."""
    made = Place().open()
    made.close()
    return made


@contextmanager
def delivery(
    where: Place | str, sending: Sending = PROMPT, *, key: str = KEY, tls: Tls | None = None,
    debug: bool = False, backoff: Backoff = QUICK, end_s: float = 0.0, **options: Any,
) -> Iterator[Delivery]:  # fmt: skip
    """Yields a delivery, which is shut down afterwards."""
    endpoint = where if isinstance(where, str) else where.endpoint
    spool = options.pop("spool", None)
    made = Delivery(
        resolve(key, endpoint, tls), sending,
        spool=None if spool is None else str(spool), backoff=backoff, debug=debug, **options,
    )  # fmt: skip
    try:
        yield made
    finally:
        made.shutdown(end_s)
        if (thread := made._engine._thread) is not None:
            thread.join(WAIT_S)


def wait_for_threads() -> None:
    """Waits until no sender runs, so that nothing of one test reaches another."""
    for thread in threading.enumerate():
        if thread.name == "bartizan-sender":
            thread.join(WAIT_S)


def dropped(stats: Stats) -> int:
    """Returns how many were given up, for whatever reason."""
    return sum(stats.dropped.values())


def balance(stats: Stats) -> int:
    """Returns what is missing in the numbers; 0 when they are right."""
    settled = stats.stored + stats.duplicate + stats.rejected + stats.quarantined
    return stats.recorded - settled - dropped(stats) - stats.queued


def numbers(ingest: FakeIngest) -> list[int]:
    """Returns the numbers of the notes that were stored, in order."""
    return sorted(int(trace_id, 16) - 1 for trace_id, _ in ingest.spans)
