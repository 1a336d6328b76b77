"""Reads from the server what it has stored: the live tail, whole traces, and the counters."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from bartizan.client import Bartizan, BartizanError, TraceView
from bartizan.server.demo.figures import Figures, Ledger
from bartizan.server.demo.news import LONG_SPANS, News
from bartizan.v1 import trace_pb2

COUNTERS_TIMEOUT_S = 2.0
RETRY_S = 1.0
RECENT = timedelta(minutes=5)
"""No trace that began earlier is still added to."""
GROWTH = 6
"""A long trace that still goes on is looked into again after so many more spans."""


class Watch:
    """Follows the server in a thread of its own until it is closed.

    Args:
        bz: a client that may read; closing it is what ends the thread.
    """

    def __init__(self, bz: Bartizan) -> None:
        self._bz = bz
        self._arrived: SimpleQueue[trace_pb2.Trace | TraceView] = SimpleQueue()
        self._closed = threading.Event()
        self._looked: dict[str, int] = {}
        self._thread = threading.Thread(target=self._follow, name="demo-watch", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def close(self) -> None:
        """Closes the client, and waits a little for the thread."""
        self._closed.set()
        self._bz.close()
        self._thread.join(COUNTERS_TIMEOUT_S)

    def take(self, figures: Figures, news: News) -> None:
        """Adds to figures and news what has arrived since the last time."""
        for thing in self._drain():
            if isinstance(thing, TraceView):
                figures.looked_into(thing)
                news.looked_into(thing)
            else:
                figures.saw(thing)
                if thing.root_seen:
                    news.saw(thing)

    def catch_up(self, began: datetime) -> None:
        """Reads the latest traces once more, so that nothing is missing at the end.

        Those that were last added to before the demo began are left out: kept data has some.

        Raises BartizanError when the server is away.
        """
        for trace in self._bz.list_traces(since=RECENT):
            if trace.update_time.ToDatetime(UTC) >= began:
                self._saw(trace)

    def _follow(self) -> None:
        while not self._closed.is_set():
            # ValueError is what a closed channel answers.
            with contextlib.suppress(BartizanError, ValueError):
                for response in self._bz.tail():
                    for trace in response.traces:
                        self._saw(trace)
            self._closed.wait(RETRY_S)

    def _saw(self, trace: trace_pb2.Trace) -> None:
        self._arrived.put(trace)
        looked = self._looked.get(trace.trace_id, 0)
        telling = trace.finding_count or trace.error_count or trace.span_count >= LONG_SPANS
        grown = trace.span_count >= looked + GROWTH and trace.span_count >= LONG_SPANS
        if telling and trace.span_count > looked and (trace.root_seen or grown):
            self._looked[trace.trace_id] = trace.span_count
            self._arrived.put(self._bz.get_trace(trace.trace_id, omit_content=True))

    def _drain(self) -> Iterator[trace_pb2.Trace | TraceView]:
        while True:
            try:
                yield self._arrived.get_nowait()
            except Empty:
                return


def read_ledger(http: str) -> Ledger | None:
    """Returns the server's counters of spans, or None if it does not answer."""
    try:
        with urlopen(f"http://{http}/metrics", timeout=COUNTERS_TIMEOUT_S) as response:
            text = response.read().decode()
    except (URLError, OSError, ValueError):
        return None
    ledger = Ledger()
    for family in text_string_to_metric_families(text):
        if family.name == "bartizan_spans":
            for sample in family.samples:
                if sample.name == "bartizan_spans_total":
                    setattr(ledger, sample.labels["outcome"], int(sample.value))
    return ledger
