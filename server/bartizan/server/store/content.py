"""Looking for words in redacted content.

The database sifts: it looks for the words in the JSON text of the payloads. What it lets through is
read and tested here, so that words are found in content only and not in the JSON around it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Uuid,
    collate,
    column,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from bartizan.server.ingest.span import Json
from bartizan.server.store.reader import ProjectReader
from bartizan.server.store.tables import span_payloads

PARTS = ("input", "output", "attributes", "events", "links", "extra")


class Words:
    """A run of text to look for, whatever the case of its letters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._letters = [
            {form for form in (c, c.lower(), c.upper()) if len(form) == 1} for c in text
        ]
        self._plain = re.compile("".join(map(_plain, self._letters)))

    def in_json(self, part: ColumnElement[str]) -> ColumnElement[bool]:
        """Returns the condition that a JSON text holds the text, in or between its values.

        It means the same whatever the locale of the database.
        """
        if self._text.isascii():
            in_json = orjson.dumps(self._text).decode()[1:-1]
            return collate(part, "C").icontains(in_json, autoescape=True)
        return part.regexp_match("".join(map(_escaped, self._letters)))

    def in_payload(self, payload: Row[Any]) -> bool:
        """Tells whether the content of a row of span_payloads holds the text."""
        return any(map(self._plain.search, _texts(payload)))


class ContentReader(ProjectReader):
    """Reads content for the words in it."""

    async def sizes(self, traces: Sequence[Row[Any]]) -> dict[UUID, int]:
        """Returns how many bytes of content each of these traces has; those with none are left out.

        The database knows lengths without reading the content.
        """
        lengths = [func.coalesce(func.octet_length(span_payloads.c[name]), 0) for name in PARTS]
        size = func.sum(sum(lengths[1:], lengths[0]))
        rows = await self._rows(self._payloads_of(traces, size.label("size")))
        return {row.trace_id: int(row.size) for row in rows if row.size is not None}

    async def holding(self, traces: Sequence[Row[Any]], words: Words) -> tuple[set[UUID], int]:
        """Returns which of these traces hold the words, and how many bytes were read to know."""
        columns = [span_payloads.c[name] for name in PARTS]
        sifted = or_(*map(words.in_json, columns))
        rows = await self._rows(self._payloads_of(traces, *columns, where=sifted))
        held: set[UUID] = set()
        for row in rows:
            if row.trace_id not in held and words.in_payload(row):
                held.add(row.trace_id)
        return held, sum(len(row._mapping[name] or "") for row in rows for name in PARTS)

    def _payloads_of(
        self, traces: Sequence[Row[Any]], *columns: Any, where: Any = True
    ) -> Select[Any]:
        # One look-up a trace: without fresh statistics, a plan for all at once reads everything.
        ids = func.unnest(literal([trace.trace_id for trace in traces], ARRAY(Uuid)))
        wanted = ids.table_valued(column("trace_id", Uuid), name="wanted").render_derived()
        of_trace = (
            self._select(span_payloads, *columns)
            .where(span_payloads.c.trace_id == wanted.c.trace_id, where)
            .where(span_payloads.c.start_time >= min(trace.start_time for trace in traces))
            .where(span_payloads.c.start_time <= max(trace.end_time for trace in traces))
            .offset(0)
            .lateral("payload")
        )
        return select(wanted.c.trace_id, *of_trace.c).join_from(wanted, of_trace, literal(True))


def _plain(forms: set[str]) -> str:
    return f"[{''.join(map(re.escape, sorted(forms)))}]"


def _escaped(forms: set[str]) -> str:
    if len(forms) > 1:
        return f"[{''.join(sorted(forms))}]"
    in_json = orjson.dumps(next(iter(forms))).decode()[1:-1]
    return "".join(c if c.isalnum() else f"\\{c}" if c.isascii() else c for c in in_json)


def _texts(payload: Row[Any]) -> Iterator[str]:
    for message in (*_load(payload.input), *_load(payload.output)):
        yield message["content"]
        yield message.get("name", "")
    yield from _leaves(_load(payload.attributes))
    for event in _load(payload.events):
        yield event["name"]
        yield from _leaves(event["attributes"])
    for link in _load(payload.links):
        yield from _leaves(link["attributes"])
    if payload.extra:
        yield orjson.loads(payload.extra).get("status_message", "")


def _load(part: str | None) -> Any:
    return orjson.loads(part) if part else ()


def _leaves(value: Json | tuple[()]) -> Iterator[str]:
    """Yields the texts, numbers and keys of a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield key
                yield from _leaves(item)
        case list():
            for item in value:
                yield from _leaves(item)
        case int() | float() if not isinstance(value, bool):
            yield str(value)
