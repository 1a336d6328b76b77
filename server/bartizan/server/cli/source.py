"""What is sent: a file, packed or not, or standard input; and where its refused lines go."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson
import typer

from bartizan.server.cli.errors import Failed

GZIP_MAGIC = b"\x1f\x8b"


class Source:
    """The lines of something that is sent. Iterate it once.

    Attributes:
        size: in bytes as it lies there; None where that is not known.
    """

    def __init__(self, name: str, file: IO[bytes], size: int | None) -> None:
        self._name = name
        self._file = file
        self.size = size

    def position(self) -> int:
        """Returns how many of the bytes have been read; 0 where that is not known."""
        return 0 if self.size is None else self._file.tell()

    def __iter__(self) -> Iterator[bytes]:
        """Yields lines, unpacked; raises Failed when they cannot be."""
        file: Any = self._file
        if not file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
            yield from file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from unpacked
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise Failed(
                f"{self._name} is not whole: its gzip data break off or are damaged."
            ) from None


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """Opens a file, or standard input for "-"; raises BadParameter when that does not work."""
    if name == "-":
        yield Source("Standard input", sys.stdin.buffer, None)
        return
    path = Path(name)
    try:
        file = path.open("rb")
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise typer.BadParameter(f"The file {name} cannot be read: {error.strerror}.") from None
    with file:
        yield Source(f"The file {name}", file, size)


@contextmanager
def rejects(name: str | None, up_to_line: int) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Opens the file for refused lines; what it tells of lines up to that one stays in it.

    Raises OSError.
    """
    if name is None:
        yield None
        return
    earlier = _lines(Path(name)) if up_to_line else []
    kept = [line for line in earlier if _number(line) <= up_to_line]
    with Path(name).open("wb") as file:
        file.writelines(kept)

        def write(refused: dict[str, Any]) -> None:
            file.write(orjson.dumps(refused, option=orjson.OPT_APPEND_NEWLINE))

        yield write


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _number(line: bytes) -> float:
    try:
        return int(orjson.loads(line)["line"])
    except (ValueError, KeyError, TypeError):
        # Half a line, of a run that was killed.
        return float("inf")
