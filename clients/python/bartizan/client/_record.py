"""What recording hands over to delivery."""

from __future__ import annotations

from typing import Protocol

SPAN = 0
OTLP = 1
FEEDBACK = 2


class Record(Protocol):
    """One thing on its way to the server."""

    @property
    def kind(self) -> int:
        """SPAN, OTLP or FEEDBACK."""
        ...

    @property
    def spans(self) -> int:
        """How many spans it stands for; 0 for feedback."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        ...

    def encode(self) -> bytes:
        """Returns a serialized Span, ExportTraceServiceRequest or Feedback; called once.

        It redacts and serializes, so it may be slow and may raise anything. Without a spool it runs
        on the sender's thread, with one on the caller's: a spool holds redacted bytes only.
        """
        ...
