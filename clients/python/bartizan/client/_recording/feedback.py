"""What a person or a program thinks of a trace, on its way to the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, ClassVar

from bartizan.client._record import FEEDBACK

MAX_TEXT_CHARS = 8_192
MAX_NAME_CHARS = 128
MAX_ID_CHARS = 256
BASE_SIZE = 700
"""About what it holds without its texts, in bytes."""


@dataclass(frozen=True)
class Feedback:
    """One answer of somebody; the attributes are those of `Bartizan.feedback`."""

    feedback_id: str
    trace_id: str
    given_ns: int
    redact: Callable[[str], str] | None
    thumbs_up: bool | None = None
    rating: float | None = None
    label: str = ""
    comment: str = ""
    correction: str = ""
    name: str = ""
    span_id: str = ""
    session_id: str = ""
    user_id: str = ""
    source: str = "user"

    kind: ClassVar[int] = FEEDBACK
    spans: ClassVar[int] = 0

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        return BASE_SIZE + len(self.comment) + len(self.correction)

    def encode(self) -> bytes:
        """Returns the serialized bartizan.v1.Feedback, redacted."""
        from bartizan.client._recording.encode import cleaner
        from bartizan.v1 import evaluation_pb2

        clean = cleaner(self.redact)
        proto = evaluation_pb2.Feedback(
            feedback_id=self.feedback_id,
            trace_id=self.trace_id,
            span_id=self.span_id,
            session_id=clean(self.session_id)[:MAX_ID_CHARS],
            name=clean(self.name)[:MAX_NAME_CHARS],
            comment=clean(self.comment)[:MAX_TEXT_CHARS],
            correction=clean(self.correction),
            user_id=clean(self.user_id)[:MAX_ID_CHARS],
            source=f"FEEDBACK_SOURCE_{self.source.upper()}",  # type: ignore[arg-type]
        )
        proto.create_time.seconds, proto.create_time.nanos = divmod(self.given_ns, 10**9)
        if self.thumbs_up is not None:
            proto.thumbs_up = bool(self.thumbs_up)
        elif self.rating is not None:
            proto.rating = float(self.rating)
        elif self.label:
            proto.label = clean(self.label)[:MAX_NAME_CHARS]
        return proto.SerializeToString()
