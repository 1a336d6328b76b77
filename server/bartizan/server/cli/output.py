"""What commands print: JSON for programs, tables for people."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.message import Message

if TYPE_CHECKING:
    from rich.console import Console

    from bartizan.v1 import common_pb2

WIDE = 250
ENOUGH_COLUMNS = 120
"""For all columns of a table."""
"""Columns where there is no terminal: nothing is cut off for a file or a pipe."""


def as_json(message: Message) -> dict[str, Any]:
    """Returns a message in proto3 JSON with the contract's field names, empty fields included."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def print_json(value: object) -> None:
    """Prints one JSON document on one line."""
    print(json.dumps(value, ensure_ascii=False, separators=(",", ":")))  # noqa: T201


def print_messages(messages: Iterable[Message]) -> None:
    """Prints messages as NDJSON, each as soon as it is there."""
    for message in messages:
        print_json(as_json(message))


def console() -> "Console":
    """Returns where people read."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False)


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    empty: str,
    narrow: Collection[str] = (),
) -> None:
    """Prints rows in columns, or a sentence when there are none.

    On a narrow screen only the columns in `narrow` are shown, whole, so that ids can be copied.
    """
    from rich.table import Table

    out = console()
    few = bool(narrow) and out.width < ENOUGH_COLUMNS
    shown = [at for at, title in enumerate(titles) if not few or title in narrow]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at in shown:
        table.add_column(titles[at], no_wrap=few, overflow="fold")
    for row in rows:
        table.add_row(*(plain(row[at]) for at in shown))
    out.print(table if table.row_count else empty)


def plain(text: str) -> str:
    """Returns a text without what a terminal would obey instead of show."""
    return "".join(one if one.isprintable() else "\N{MIDDLE DOT}" for one in text)


def shorten(text: str, limit: int) -> str:
    """Returns a text on one line and no longer than the limit, with its length if it was cut."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}… ({len(text)} characters)"


def duration(seconds: float) -> str:
    """Returns seconds in the unit that reads best."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def money(amount: float) -> str:
    """Returns US dollars with as many digits as small amounts need; nothing for nothing."""
    if not amount:
        return ""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.6f}".rstrip("0").rstrip(".")


def tokens(usage: "common_pb2.TokenUsage") -> str:
    """Returns tokens in and out; nothing for none."""
    if not usage.input and not usage.output:
        return ""
    return f"{usage.input:,} → {usage.output:,}"


def counted(number: int, thing: str) -> str:
    """Returns `1 finding`, `2 findings`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
