"""The client: one object for tracing, sending, reading and managing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Callable

from bartizan.client._calls.api import ATTEMPTS, TIMEOUT_S, Api
from bartizan.client._calls.channel import Tls, resolve
from bartizan.client._calls.retry import Backoff
from bartizan.client._checking.checker import Checker
from bartizan.client._delivery.delivery import Delivery, Sending
from bartizan.client._recording.recorder import Recorder, Source
from bartizan.client._recording.redaction import Redaction, make_redactor
from bartizan.client._recording.tracer import Tracer
from bartizan.client._settings import flag, share, text

if TYPE_CHECKING:
    from bartizan.client._calls.rules import Rules
    from bartizan.client._delivery.stats import Stats
    from bartizan.client._otel.exporter import SpanExporter
    from bartizan.client._record import Record

SHUTDOWN_TIMEOUT_S = 5.0
"""A program that ends waits so long for a server that is slow, and no longer."""


class Bartizan(Tracer, Checker, Api):
    """Traces a program, and talks to one Bartizan server. Safe to use from several threads.

    What records (`trace`, `span`, `session`, `feedback`) never raises and never waits for the
    server: spans go to a queue, and a thread sends them. All other calls wait for their answers and
    raise BartizanError.

    Args:
        api_key: the key; from the environment variable BARTIZAN_API_KEY when not given.
        endpoint: HOST:PORT, or http://… or https://… for TLS with public roots; from
            BARTIZAN_ENDPOINT when not given, else localhost:4317.
        tls: the files for TLS with a private authority or for mutual TLS.
        agent: of every span that does not say otherwise; from BARTIZAN_AGENT when not given.
        environment: where the program runs; from BARTIZAN_ENVIRONMENT when not given.
        machine: the computer it runs on.
        workspace: the editor window or checkout it runs in.
        tags: of the root span of every trace.
        capture_content: False leaves out inputs, outputs and error texts; from
            BARTIZAN_CAPTURE_CONTENT when not given, else True.
        redact: regular expressions, or expressions by name, or a function from text to text. Is
            applied to every text before it leaves the process or reaches the spool.
        sample_rate: the share of traces that is recorded, 0 to 1; from BARTIZAN_SAMPLE_RATE when
            not given, else 1.
        spool: a directory on a local disk where spans wait that are not acked yet, so that they
            outlive this process; from BARTIZAN_SPOOL when not given, else they wait in memory.
        sending: sizes of queues and batches.
        debug: True tells on standard error, in a line, whether spans arrive and if not, why; from
            BARTIZAN_DEBUG when not given.
        enabled: False records nothing; from BARTIZAN_ENABLED when not given, else True.
        timeout_s: how long one attempt of one call may take, in seconds.
        max_attempts: how often a call that may be tried again is tried.
        backoff: how long to wait in between.
        sleep: waits so many seconds; passed in by tests.
        source: where ids and times of spans come from; passed in by tests.

    Raises:
        InvalidArgument: an argument or variable is not of its form, or a TLS file cannot be read.
    """

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        tls: Tls | None = None,
        *,
        agent: str | None = None,
        environment: str | None = None,
        machine: str = "",
        workspace: str = "",
        tags: Iterable[str] = (),
        capture_content: bool | None = None,
        redact: Redaction | None = None,
        sample_rate: float | None = None,
        spool: str | os.PathLike[str] | None = None,
        sending: Sending | None = None,
        debug: bool | None = None,
        enabled: bool | None = None,
        timeout_s: float = TIMEOUT_S,
        max_attempts: int = ATTEMPTS,
        backoff: Backoff | None = None,
        sleep: Callable[[float], object] | None = None,
        source: Source | None = None,
    ) -> None:
        target = resolve(api_key, endpoint, tls)
        backoff = backoff or Backoff()
        Api.__init__(self, target, timeout_s, max_attempts, backoff, sleep)
        on = flag("enabled", enabled, "BARTIZAN_ENABLED", True)
        directory = text(None if spool is None else os.fspath(spool), "BARTIZAN_SPOOL")
        self._delivery = Delivery(
            target,
            sending or Sending(),
            spool=(directory or None) if on else None,
            backoff=backoff,
            debug=flag("debug", debug, "BARTIZAN_DEBUG", False),
        )
        shared = {
            "agent": text(agent, "BARTIZAN_AGENT"),
            "environment": text(environment, "BARTIZAN_ENVIRONMENT"),
            "machine": machine,
            "workspace": workspace,
        }
        capture = flag("capture_content", capture_content, "BARTIZAN_CAPTURE_CONTENT", True)
        recorder = Recorder(
            self._delivery.put if on else _discard,
            source or Source(),
            {key: value for key, value in shared.items() if value},
            tags=tuple(tags),
            capture_content=capture,
            redact=make_redactor(redact),
            sample_rate=share("sample_rate", sample_rate, "BARTIZAN_SAMPLE_RATE"),
        )
        Tracer.__init__(self, recorder)
        Checker.__init__(self, self, {key: shared[key] for key in ("agent", "environment")})
        self._instruments = False

    def __enter__(self) -> Bartizan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def instrument(self, *names: str) -> tuple[str, ...]:
        """Records what libraries do, and returns the names of those that are recorded now.

        Names are openai, anthropic, google-genai, langchain (and LangGraph), and threading, which
        carries the current span into threads; none means all that are installed. Needs the extra
        `instrument`; `shutdown` undoes it.

        Raises:
            InvalidArgument: there is no such name.
            ImportError: a named library, or its instrumentation, is not installed.
            FailedPrecondition: the application has instrumented a named library itself.
        """
        from bartizan.client._otel.instrument import process

        if self._recorder.put is _discard:
            return ()
        self._instruments = True
        return process.switch_on(names, self._recorder)

    def span_exporter(self) -> SpanExporter:
        """Returns an exporter for the OpenTelemetry SDK that sends its spans as ours are sent.

        Raises ImportError when the extra `otel` is not installed.
        """
        from bartizan.client._otel.exporter import exporter

        return exporter(self._recorder, self.flush)

    @property
    def rules(self) -> Rules:
        """The rules of the project, and what they found."""
        from bartizan.client._calls.rules import Rules
        from bartizan.client._checking.messages import request

        wire = self._wire
        return Rules(wire.guardrails, self._unary, self._pages, self._server_stream, request)

    @property
    def stats(self) -> Stats:
        """What became of everything recorded so far."""
        return self._delivery.stats

    def flush(self, timeout_s: float | None = None) -> bool:
        """Waits until everything recorded so far is stored; returns False if it is not in time."""
        return self._delivery.flush(timeout_s)

    async def aflush(self, timeout_s: float | None = None) -> bool:
        """Does what `flush` does without blocking the event loop."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, self.flush, timeout_s)

    def shutdown(self, timeout_s: float = SHUTDOWN_TIMEOUT_S) -> bool:
        """Sends what is left and stops sending; returns False if not all of it is stored in time.

        What is recorded afterwards is counted and dropped. A program that ends calls it by itself.
        """
        if self._instruments:
            from bartizan.client._otel.instrument import process

            process.switch_off(self._recorder)
        return self._delivery.shutdown(timeout_s)

    def close(self) -> None:
        """Shuts down and closes the connection; streams that are still open break."""
        self.shutdown()
        self._close_wire()


def _discard(record: Record) -> None:
    """Takes the place of delivery in a client that is off."""
