"""Tells a person when spans begin to arrive and why they do not, once for each change."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from bartizan.client._calls.channel import Target
    from bartizan.client._calls.errors import BartizanError

PATIENCE = 3
"""So many failures in a row after it has worked: a restart of the server is no news."""


class Herald:
    """Knows whether spans arrive. Only the sender's thread calls it, but for `warn`.

    Args:
        target: the server.
        debug: write lines to stderr; else warnings to the log "bartizan.client".
        note: is given each sentence that says what is wrong.
    """

    def __init__(self, target: Target, *, debug: bool, note: Callable[[str], object]) -> None:
        self._target = target
        self._debug = debug
        self._note = note
        self._failures = 0
        self._working: bool | None = None
        self._key: tuple[object, ...] = ()
        self._sentence = ""
        self._has_refused = False
        self.proved = False
        """Whether anything has ever arrived."""

    @property
    def failing(self) -> bool:
        """True if the last attempt failed."""
        return self._failures > 0

    def arrived(self) -> None:
        """Takes note of an ack."""
        self._failures = 0
        self._key = ()
        if self._working:
            return
        self._working = self.proved = True
        self._sentence = ""
        if self._debug:
            _write(f"connected to {self._target.address}, spans arrive")

    def failed(self, error: BartizanError) -> None:
        """Takes note of a failed attempt; finds out why when that is news."""
        self._failures += 1
        lasting = not error.retryable or self._failures >= PATIENCE
        if self._working and not lasting:
            return
        key = (type(error), error.reason, error.message)
        if key == self._key:
            return
        self._key = key
        # It needs the modules for sockets and TLS, which most programs never do.
        from bartizan.client._delivery.diagnosis import explain

        sentence = explain(self._target, error)
        if sentence != self._sentence:
            self._sentence = sentence
            self._working = False
            self.warn(f"nothing arrives: {sentence}")

    def refused(self, spans: int, why: str) -> None:
        """Takes note of what the server will never take; the first time it is said aloud."""
        from bartizan.client._delivery.diagnosis import line

        sentence = f"the server refused {spans} of what was sent for good: {line(why)}"
        say, self._has_refused = not self._has_refused, True
        if say:
            self.warn(sentence)
        else:
            self._note(sentence)

    def warn(self, sentence: str) -> None:
        """Says what is wrong; any thread may."""
        self._note(sentence)
        if self._debug:
            _write(sentence)
            return
        import logging

        logging.getLogger("bartizan.client").warning("bartizan: %s", sentence)


def _write(line: str) -> None:
    # At the end of the interpreter stderr may be gone.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(f"bartizan: {line}\n")
        sys.stderr.flush()
