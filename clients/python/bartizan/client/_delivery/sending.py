"""How much is sent at once, how long it waits, and how much may wait."""

from __future__ import annotations

from dataclasses import dataclass

from bartizan.client._calls.errors import InvalidArgument

POLICIES = ("drop_newest", "drop_oldest")


@dataclass(frozen=True)
class Sending:
    """How spans travel. What is left out is right for most programs.

    Attributes:
        batch_spans: a batch is sent when it has so many spans,
        batch_bytes: or so many bytes,
        linger_s: or when its first span has waited so long, in seconds.
        queue_spans: how many spans wait in memory at most, those on their way included.
        queue_bytes: how many bytes they have at most, about.
        when_full: which are given up when there is no room: "drop_newest" or "drop_oldest".
        spool_bytes: how many bytes wait on disk at most, when there is a spool.
        gzip: whether to compress; None does unless the server is on this machine.
        exit_timeout_s: how long the end of the program waits for what is not sent yet, in seconds.

    Raises:
        InvalidArgument: a number is not positive, or `when_full` is something else.
    """

    batch_spans: int = 512
    batch_bytes: int = 1024 * 1024
    linger_s: float = 0.2
    queue_spans: int = 20_000
    queue_bytes: int = 64 * 1024 * 1024
    when_full: str = "drop_newest"
    spool_bytes: int = 1024 * 1024 * 1024
    gzip: bool | None = None
    exit_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("batch_spans", "batch_bytes", "queue_spans", "queue_bytes", "spool_bytes"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"Sending.{name} must be 1 or more.", reason="BAD_SENDING")
        for name in ("linger_s", "exit_timeout_s"):
            if not getattr(self, name) >= 0:
                raise InvalidArgument(f"Sending.{name} must be 0 or more.", reason="BAD_SENDING")
        if self.when_full not in POLICIES:
            raise InvalidArgument(
                f"Sending.when_full is one of {', '.join(POLICIES)}.", reason="BAD_SENDING"
            )
