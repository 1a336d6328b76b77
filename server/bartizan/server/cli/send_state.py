"""How far a file was sent, kept beside it, so that another run can go on from there.

As sending again is harmless, all this needs to be is a lower bound: what does not fit, or cannot
be read, means from the first line on.
"""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bartizan.server.cli.delivery import Report
from bartizan.server.cli.state_file import read_state, write_state

HEAD_BYTES = 64 * 1024
"""Of a file that tell whether it is still the same one, beside its size and time."""
KEEP_S = 1.0


def beside(file: Path) -> Path:
    """Returns where the state of a file is kept."""
    return file.with_name(f"{file.name}.sent")


def identify(file: Path) -> dict[str, Any]:
    """Returns what changes when a file does. Raises OSError."""
    about = file.stat()
    with file.open("rb") as source:
        head = hashlib.sha256(source.read(HEAD_BYTES)).hexdigest()
    return {"size": about.st_size, "mtime_ns": about.st_mtime_ns, "head": head}


class SendState:
    """Keeps the state of one file while it is sent.

    Attributes:
        project: which one of the server's; nothing is kept while it is not told.
        stream_id: names the stream through all runs.
        otlp: what the file holds; None while that is not known.
        problem: why the state could not be written, empty if it could.
    """

    def __init__(self, file: Path, server: str, report: Report, clock: Callable[[], float]) -> None:
        self._path = beside(file)
        self._identity = identify(file)
        self._server = server
        self._report = report
        self._clock = clock
        self._kept_s = clock()
        self.project = ""
        self.stream_id = str(uuid.uuid4())
        self.otlp: bool | None = None
        self.problem = ""

    def resume(self) -> str:
        """Takes over what an earlier run has left; returns why it does not, if so."""
        try:
            found = read_state(self._path)
            if found is None:
                return "nothing is kept of an earlier run"
            if found["file"] != self._identity:
                return "the file has changed since"
            if [found["server"], found["project"]] != [self._server, self.project]:
                return "it was sent to another server or project"
            self._take_over(found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"{self._path} is damaged"
        return ""

    def keep_now_and_then(self) -> None:
        """Writes the state if that was long ago."""
        if self._clock() - self._kept_s >= KEEP_S:
            self.keep()

    def keep(self) -> None:
        """Writes the state. A failure is noted and no more: sending matters more."""
        if not self._report.line or not self.project:
            return
        self._kept_s = self._clock()
        try:
            write_state(
                self._path,
                {
                    "file": self._identity,
                    "server": self._server,
                    "project": self.project,
                    "stream_id": self.stream_id,
                    "otlp": self.otlp,
                    "counts": self._report.counts,
                },
            )
            self.problem = ""
        except OSError as error:
            self.problem = error.strerror or type(error).__name__

    def forget(self) -> None:
        """Removes the state: the file is sent whole."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__

    def _take_over(self, found: dict[str, Any]) -> None:
        counts, stream_id = found["counts"], str(uuid.UUID(found["stream_id"]))
        if set(counts) != set(self._report.counts) or found["otlp"] not in (True, False):
            raise ValueError
        if not all(isinstance(count, int) and count >= 0 for count in counts.values()):
            raise ValueError
        self.stream_id, self.otlp = stream_id, found["otlp"]
        for name, count in counts.items():
            setattr(self._report, name, count)
