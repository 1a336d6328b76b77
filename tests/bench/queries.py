"""Times the reading calls, one after the other, as a person would wait for them."""

import itertools
import random
import time
from collections.abc import Callable, Iterator

import grpc
from google.protobuf.duration_pb2 import Duration
from tests.bench.server import Serving
from tests.bench.spans import AGENTS, MODELS

from bartizan.v1 import common_pb2, trace_pb2, trace_pb2_grpc

PAGES = 10
"""How deep a reader pages before beginning anew."""
TEXT_SHARE = 10
"""Full text reads content, so it gets a tenth of the queries."""
DEADLINE_S = 30
Request = trace_pb2.ListTracesRequest
Filter = trace_pb2.TraceFilter


class Reader:
    """A client with the server's own key."""

    def __init__(self, serving: Serving) -> None:
        self._channel = grpc.insecure_channel(serving.grpc)
        self._service = trace_pb2_grpc.TraceServiceStub(self._channel)
        self._metadata = (("x-api-key", serving.key),)
        self._random = random.Random(1)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def listed(self, request: Request) -> trace_pb2.ListTracesResponse:
        """Returns a page of traces."""
        return self._service.ListTraces(request, metadata=self._metadata, timeout=DEADLINE_S)

    def got(self, trace_id: str) -> int:
        """Reads a whole trace; returns how many spans it has."""
        request = trace_pb2.GetTraceRequest(name=trace_id)
        pages = self._service.GetTrace(request, metadata=self._metadata, timeout=DEADLINE_S)
        return sum(len(page.spans) for page in pages)

    def sample(self) -> list[trace_pb2.Trace]:
        """Returns traces from the first pages."""
        return [trace for page in itertools.islice(self._walk(1_000), 5) for trace in page.traces]

    def times(self, count: int) -> Iterator[tuple[str, list[float]]]:
        """Runs `count` queries of each kind; yields the kinds and their seconds."""
        known = self.sample()
        pick = self._random.choice
        filters = itertools.cycle(_filters(known, self._random))
        walk = self._walk(50)
        yield "list", _timed(count, lambda: next(walk))
        yield "get", _timed(count, lambda: self.got(pick(known).trace_id))
        yield (
            "list_filtered",
            _timed(count, lambda: self.listed(Request(page_size=50, filter=next(filters)))),
        )
        text = Request(page_size=50, filter=Filter(text="broken lamp once more"))
        yield "list_text", _timed(count // TEXT_SHARE, lambda: self.listed(text))

    def _walk(self, page_size: int) -> Iterator[trace_pb2.ListTracesResponse]:
        """Yields pages, from the newest on, and begins anew after some."""
        while True:
            token = ""
            for _ in range(PAGES):
                page = self.listed(Request(page_size=page_size, page_token=token))
                yield page
                if not (token := page.next_page_token):
                    break


def _filters(known: list[trace_pb2.Trace], chance: random.Random) -> list[trace_pb2.TraceFilter]:
    filters = [Filter(status=common_pb2.STATUS_CODE_ERROR), Filter(finding="*")]
    filters += [Filter(finding="pii.iban_code"), Filter(min_cost_usd=0.05)]
    filters += [Filter(min_duration=Duration(seconds=15)), Filter(environment="production")]
    filters += [Filter(agent=agent) for agent in AGENTS[:2]]
    filters += [Filter(model=model) for model, _ in MODELS[:2]]
    filters += [Filter(user_id=chance.choice(known).user_id) for _ in range(5)]
    filters += [Filter(session_id=chance.choice(known).session_id) for _ in range(5)]
    return filters


def _timed(count: int, query: Callable[[], object]) -> list[float]:
    query()  # the first one connects and plans
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        query()
        times.append(time.perf_counter() - begin)
    return times
