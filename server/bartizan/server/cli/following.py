"""Follows what is committed, through restarts of the server, and picks what is worth a line."""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator

from bartizan.client import Backoff, Bartizan, BartizanError, TraceQuery
from bartizan.v1 import common_pb2, trace_pb2

REMEMBERED_TRACES = 10_000
"""Of which it is known what was shown; an older one that changes again is shown again."""

Say = Callable[[str], None]


def follow(
    client: Bartizan,
    query: TraceQuery,
    say: Say,
    *,
    backoff: Backoff,
    sleep: Callable[[float], object] = time.sleep,
) -> Generator[trace_pb2.Trace]:
    """Yields traces as they stand after each commit, until the caller stops.

    A connection that breaks after it has begun is made again, however long that takes; `say` gets
    a sentence for a person about that and about traces that were passed over.

    Raises BartizanError when the first connection fails, or for what waiting does not mend.
    """
    begun, failures = False, 0
    while True:
        try:
            for response in client.tail(**query):
                if not begun:
                    say("Waiting for traces; Ctrl-C ends.")
                elif failures:
                    say("Connected again; what was committed in between is not shown.")
                begun, failures = True, 0
                if response.skipped:
                    say(f"{response.skipped:,} traces came too fast and are not shown.")
                yield from response.traces
        except BartizanError as error:
            if not (begun and error.retryable):
                raise
            wait_s = backoff.delay_s(failures + 1, error.retry_delay_s)
        else:
            wait_s = backoff.delay_s(failures + 1)
        failures += 1
        if failures == 1:
            say("The server went away; connecting again.")
        sleep(wait_s)


class News:
    """Knows which traces have been shown, and tells what is new about one."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, frozenset[str]] = OrderedDict()

    def worth_showing(self, trace: trace_pb2.Trace) -> bool:
        """Returns True once a trace is finished, and when it then first fails or has a finding."""
        facts = _facts(trace)
        before = self._shown.pop(trace.trace_id, frozenset())
        self._shown[trace.trace_id] = before | facts
        if len(self._shown) > REMEMBERED_TRACES:
            self._shown.popitem(last=False)
        return not facts <= before


def _facts(trace: trace_pb2.Trace) -> frozenset[str]:
    if not trace.root_seen:
        return frozenset()
    facts = {
        "finished": True,
        "failed": trace.status == common_pb2.STATUS_CODE_ERROR,
        "found": trace.finding_count > 0,
    }
    return frozenset(name for name, holds in facts.items() if holds)
