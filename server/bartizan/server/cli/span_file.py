"""Files of spans: which of the two forms a file has, and what its lines hold."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from bartizan.plugins.errors import BartizanError
from bartizan.v1 import common_pb2

Lines = Iterator[tuple[int, bytes]]
"""Lines with their numbers, from 1; blank ones are left out."""

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Of an OTLP document that spans several lines: what a server takes in one message."""
OTLP_KEYS = ("resourceSpans", "resource_spans")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be sent. `why` never holds what the line says."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class SpanLine:
    """A line with one native span."""

    number: int
    span: common_pb2.Span


@dataclass(frozen=True, slots=True)
class OtlpLine:
    """A line, or a whole file, with one OTLP request."""

    number: int
    request: Message


def numbered(lines: Iterable[bytes]) -> Lines:
    """Yields the lines that are not blank, with their numbers."""
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def recognise(lines: Lines) -> tuple[bool, Lines]:
    """Returns whether the lines are OTLP JSON, and all of them again.

    A document that is spread over several lines comes back as one.
    """
    first = next(lines, None)
    if first is None:
        return False, iter(())
    number, line = first
    value = _load(line)
    if value is None:
        rest = [first, *_up_to(lines, MAX_DOCUMENT_BYTES)]
        whole = b"".join(line for _, line in rest)
        if _is_otlp(_load(whole)):
            return True, iter([(number, whole)])
        return False, chain(rest, lines)
    return _is_otlp(value), chain([first], lines)


def read_spans(lines: Lines) -> Iterator[SpanLine | BadLine]:
    """Yields the span of each line, or why there is none."""
    for number, line in lines:
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                yield BadLine(number, "is not a JSON object")
                continue
            yield SpanLine(number, json_format.ParseDict(value, common_pb2.Span()))
        except json.JSONDecodeError as error:
            yield BadLine(number, f"is not JSON: column {error.colno}")
        except UnicodeDecodeError:
            yield BadLine(number, "is not UTF-8")
        except RecursionError:
            yield BadLine(number, "is nested too deep")
        except (json_format.ParseError, ValueError) as error:
            yield BadLine(number, _without_content(str(error)))


def read_otlp(lines: Lines) -> Iterator[OtlpLine | BadLine]:
    """Yields the OTLP request of each line, or why there is none."""
    from bartizan.server.ingest.otlp_json import parse_json

    for number, line in lines:
        try:
            yield OtlpLine(number, parse_json(line))
        except BartizanError as error:
            yield BadLine(number, error.message)


def _load(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_otlp(value: object) -> bool:
    return isinstance(value, dict) and any(key in value for key in OTLP_KEYS)


def _up_to(lines: Lines, limit: int) -> Lines:
    size = 0
    for number, line in lines:
        yield number, line
        size += len(line)
        if size > limit:
            return


def _without_content(message: str) -> str:
    """Returns which field protobuf could not read, without the value that it quotes."""
    unknown = re.search(r'has no field named "([\w.-]{1,64})"', message)
    path = re.findall(r"Failed to parse (\w+) field", message)
    if unknown is not None:
        return f"has an unknown field {'.'.join([*path, unknown[1]])}"
    return f"has a wrong value in {'.'.join(path)}" if path else "is not a span"
