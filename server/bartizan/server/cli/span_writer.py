"""Where exported spans go: a stream, or a file that another run can go on with."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from google.protobuf import json_format

from bartizan.client import TraceQuery
from bartizan.plugins.errors import ConfigError
from bartizan.server.cli.state_file import read_state, write_state
from bartizan.v1 import common_pb2, trace_pb2

CHECKPOINT_S = 1.0
"""So much work is done again after a power cut; after Ctrl-C or an error, none."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PRIVATE = 0o600
"""An export holds what people said."""


@dataclass(slots=True)
class Progress:
    """How far an export has come, over all its runs.

    Attributes:
        began: when the first run began, RFC 3339; a time such as 24h counts back from there.
        size: of all whole traces, in bytes.
        last_start_ns: when the last whole trace began, in nanoseconds since 1970.
        last_trace_id: which one that is; empty while there is none.
    """

    began: str
    traces: int = 0
    spans: int = 0
    size: int = 0
    last_start_ns: int = 0
    last_trace_id: str = ""

    def comes_next(self, trace: trace_pb2.Trace) -> bool:
        """Returns False for a trace that is written: the list begins with the newest."""
        if not self.last_trace_id:
            return True
        here = (trace.start_time.ToNanoseconds(), trace.trace_id)
        return here < (self.last_start_ns, self.last_trace_id)

    def narrow(self, query: TraceQuery) -> TraceQuery:
        """Returns the query with fixed times, for what is not written yet."""
        fixed = query.copy()
        for name in ("since", "until"):
            if name in query:
                fixed[name] = self._fixed(query[name])
        if self.last_trace_id:
            # One microsecond more than that, as traces may begin together.
            last = EPOCH + timedelta(microseconds=self.last_start_ns // 1000 + 1)
            until = fixed.get("until", last)
            fixed["until"] = min(last, until) if isinstance(until, datetime) else last
        return fixed

    def _fixed(self, when: datetime | timedelta) -> datetime:
        if isinstance(when, timedelta):
            return datetime.fromisoformat(self.began) - when
        return when.astimezone(UTC)


class SpanWriter:
    """Writes traces as NDJSON, one span a line, and counts them."""

    def __init__(
        self, file: BinaryIO, progress: Progress, checkpoint: Callable[[], None] | None = None
    ) -> None:
        self._file = file
        self._checkpoint = checkpoint
        self.progress = progress

    def write(self, trace: trace_pb2.Trace, spans: Iterable[common_pb2.Span]) -> None:
        """Writes one whole trace. Raises OSError."""
        count = size = 0
        for span in spans:
            value = json_format.MessageToDict(span, preserving_proto_field_name=True)
            size += self._file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
        self.progress.traces += 1
        self.progress.spans += count
        self.progress.size += size
        self.progress.last_start_ns = trace.start_time.ToNanoseconds()
        self.progress.last_trace_id = trace.trace_id
        if self._checkpoint is not None:
            self._checkpoint()


@contextmanager
def to_file(
    name: str, asked: Mapping[str, Any], resume: bool, began: datetime, clock: Callable[[], float]
) -> Iterator[SpanWriter]:
    """Writes NAME.part, and renames it to NAME when the block ends without an error.

    Args:
        name: the file.
        asked: what is exported; another run goes on only when it asks for the same.
        resume: go on where an earlier run has stopped, if one has.
        began: now.
        clock: seconds, for how often the state is kept.

    Raises:
        ConfigError: what the earlier run left behind does not fit or is damaged.
        OSError: a file cannot be read or written.
    """
    part, state = Path(f"{name}.part"), Path(f"{name}.part.state")
    progress = _resumed(part, state, asked) if resume else None
    if progress is None:
        progress = Progress(began.isoformat())
        state.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        # What follows the last whole trace is half of one.
        file.truncate(progress.size)
        file.seek(progress.size)
        keeper = _Keeper(file, state, asked, progress, clock)
        try:
            yield SpanWriter(file, progress, keeper.keep_now_and_then)
        except BaseException:
            # The state before still holds if the disk is full.
            with suppress(OSError):
                keeper.keep()
            raise
        file.flush()
        os.fsync(handle)
    state.unlink(missing_ok=True)
    part.replace(name)


class _Keeper:
    """Keeps the state of an export beside its file, never ahead of what is written."""

    def __init__(
        self,
        file: BinaryIO,
        state: Path,
        asked: Mapping[str, Any],
        progress: Progress,
        clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._state = state
        self._asked = dict(asked)
        self._progress = progress
        self._clock = clock
        self._kept_s = clock()

    def keep_now_and_then(self) -> None:
        if self._clock() - self._kept_s >= CHECKPOINT_S:
            self.keep()

    def keep(self) -> None:
        self._file.flush()
        progress = {name: getattr(self._progress, name) for name in Progress.__slots__}
        write_state(self._state, {"asked": self._asked, "progress": progress})
        self._kept_s = self._clock()


def _resumed(part: Path, state: Path, asked: Mapping[str, Any]) -> Progress | None:
    try:
        found = read_state(state)
        if found is None:
            return None
        before, progress = found["asked"], _progress(found["progress"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            "EXPORT_STATE_DAMAGED",
            f"{state} is damaged; leave out --resume to begin again.",
        ) from None
    if before != dict(asked):
        raise ConfigError(
            "EXPORT_ASKED_OTHERWISE",
            f"{part} was begun with other filters or for another project; give the same, "
            "or leave out --resume to begin again.",
        )
    if not part.exists() or part.stat().st_size < progress.size:
        raise ConfigError(
            "EXPORT_PART_CHANGED",
            f"{part} is shorter than it was; leave out --resume to begin again.",
        )
    return progress


def _progress(found: Mapping[str, Any]) -> Progress:
    progress = Progress(**found)
    datetime.fromisoformat(progress.began)
    bytes.fromhex(progress.last_trace_id)
    for name in ("traces", "spans", "size", "last_start_ns"):
        value = getattr(progress, name)
        if not isinstance(value, int) or value < 0:
            raise ValueError(name)
    return progress
