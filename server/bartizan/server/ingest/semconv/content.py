"""Chooses, of all the places where a span may carry its messages, those that count."""

from collections.abc import Mapping
from typing import Any

from bartizan.server.ingest.checks import MAX_EVENTS, MAX_MESSAGES, check_count, check_json
from bartizan.server.ingest.semconv import events as carried
from bartizan.server.ingest.semconv.flattened import group, take
from bartizan.server.ingest.semconv.framed import Framed
from bartizan.server.ingest.semconv.messages import (
    ASSISTANT,
    RETRIEVED,
    SYSTEM,
    TOOL_CALL,
    TOOL_RESULT,
    USER,
    Reader,
    json_type,
    plain_messages,
)
from bartizan.server.ingest.semconv.table import (
    CALL_ARGUMENTS,
    CALL_IDS,
    CALL_RESULT,
    DOCUMENT_LISTS,
    EVENTS,
    FINISH_REASONS,
    INPUT,
    INPUT_DOCUMENTS,
    INPUT_MESSAGES,
    KIND,
    MIME_TYPES,
    OUTPUT,
    OUTPUT_MESSAGES,
    SYSTEM_INSTRUCTIONS,
    TOOL_NAME,
    Form,
    Source,
)
from bartizan.server.ingest.span import Event, Json, Message
from bartizan.v1 import common_pb2

MAX_NAME_CHARS = 256
MAX_MIME_TYPE_CHARS = 128

_TOOL = common_pb2.SPAN_KIND_TOOL
_SEARCHES = (common_pb2.SPAN_KIND_RETRIEVER, common_pb2.SPAN_KIND_RERANKER)
_TEXT_KEYS = ("content", "text", "page_content")


def choose_plain(
    content: dict[str, Json | Framed], attributes: dict[str, Json]
) -> tuple[list[Message], list[Message]] | None:
    """Returns input and output messages if they are plain texts in today's convention.

    Otherwise returns None, and the choice is for `Chooser`.
    """
    if len(content) != 2:
        return None if content else ([], [])
    reasons: list[Json] = []
    inputs = _plain(content.get(INPUT_MESSAGES), [])
    outputs = _plain(content.get(OUTPUT_MESSAGES), reasons)
    if not inputs or not outputs or len(inputs) + len(outputs) > MAX_MESSAGES:
        return None
    if reasons and FINISH_REASONS not in attributes:
        attributes[FINISH_REASONS] = reasons
    return inputs, outputs


def _plain(value: Json | Framed, reasons: list[Json]) -> list[Message] | None:
    if not isinstance(value, tuple):
        return plain_messages(value, reasons)
    messages, reason, _ = value
    if reason:
        reasons.append(reason)
    return messages


class Chooser:
    """Chooses the messages of one span.

    Attributes:
        content: the attributes that the table calls content, by key; used ones are taken out.
        flat: the attributes of flattened lists, by key; used ones are taken out.
        attributes: gets what messages have no place for.
        events: those that are not used up.
    """

    __slots__ = (
        *("content", "flat", "attributes", "events"),
        *("_groups", "_carried", "_kind", "_tool_name", "_call_key"),
    )

    def __init__(
        self,
        content: dict[str, Json],
        flat: dict[str, Json],
        attributes: dict[str, Json],
        events: list[Event],
    ) -> None:
        self.content = content
        self.flat = flat
        self.attributes = attributes
        self.events = events
        self._groups = group(flat) if flat else {}
        self._carried = False
        for event in events:
            if event.name.startswith("gen_ai."):
                self._carried = True
        self._call_key = ""

    def choose(self, values: list[Any]) -> tuple[list[Message], list[Message]]:
        """Returns input and output messages of a span with these typed values.

        What is not used goes to the attributes. Raises Rejection.
        """
        self._kind, self._tool_name = values[KIND], values[TOOL_NAME]
        inputs, outputs = Reader(is_input=True), Reader(is_input=False)
        if SYSTEM_INSTRUCTIONS in self.content:
            inputs.read(self.content.pop(SYSTEM_INSTRUCTIONS), SYSTEM)
        self._read_first(INPUT, inputs)
        if INPUT_DOCUMENTS in self._groups:
            self._read_flat(INPUT_DOCUMENTS, inputs)
        self._read_first(OUTPUT, outputs)
        if outputs.finish_reasons:
            self.attributes.setdefault(FINISH_REASONS, outputs.finish_reasons)
        if self._call_key:
            del self.content[self._call_key]
        self.attributes.update(self.content)
        self.attributes.update(self.flat)
        check_count(len(self.events), MAX_EVENTS, "events")
        check_count(len(inputs.messages), MAX_MESSAGES, "input")
        check_count(len(outputs.messages), MAX_MESSAGES, "output")
        return inputs.messages, outputs.messages

    def _read_first(self, sources: Mapping[str, Source], reader: Reader) -> None:
        """Reads the best of the sources that are there and say something."""
        found = [key for key in (*self.content, *self._groups) if key in sources]
        if self._carried:
            found.append(EVENTS)
        if len(found) > 1:
            found.sort(key=lambda key: sources[key].rank)
        before = len(reader.messages)
        for key in found:
            self._read_source(sources[key], key, reader)
            if len(reader.messages) > before:
                return

    def _read_source(self, source: Source, key: str, reader: Reader) -> None:
        if source.form == Form.FLAT:
            self._read_flat(key, reader)
        elif source.form == Form.EVENTS:
            take_events = carried.take_input if reader.is_input else carried.take_output
            before = len(reader.messages)
            rest = take_events(self.events, reader)
            if len(reader.messages) > before:
                self.events = rest
        else:
            self._read_content(source.form, key, reader)

    def _read_flat(self, key: str, reader: Reader) -> None:
        items = take(self._groups.pop(key), self.flat)
        if key in DOCUMENT_LISTS:
            self._read_documents(key, items, reader)
            return
        for item in items:
            reader.read_one(item)

    def _read_content(self, form: int, key: str, reader: Reader) -> None:
        value = self.content.pop(key)
        if form == Form.MESSAGES:
            reader.read(value)
        elif form == Form.DOCUMENTS:
            documents = reader.parsed(value)
            items: list[Json] = documents if isinstance(documents, list) else [documents]
            self._read_documents(f"{key}.", items, reader)
        else:
            self._read_value(key, value, reader)

    def _read_documents(self, prefix: str, documents: list[Json], reader: Reader) -> None:
        for number, document in enumerate(documents):
            if not isinstance(document, dict):
                reader.add(RETRIEVED, document)
                continue
            text_key = next((k for k in _TEXT_KEYS if isinstance(document.get(k), str)), "")
            if not text_key:
                reader.add(RETRIEVED, document)
                continue
            name = str(document.get("id", ""))
            reader.add(RETRIEVED, document[text_key], name[:MAX_NAME_CHARS])
            rest = {k: v for k, v in document.items() if k not in (text_key, "id")}
            if rest:
                self.attributes[f"{prefix}{number}"] = check_json(rest, prefix)

    def _read_value(self, key: str, value: Json, reader: Reader) -> None:
        if value is None or value == "":
            return
        role = self._value_role(key, reader.is_input)
        mime_type = self._mime_type(key, value, role)
        if role in (TOOL_CALL, TOOL_RESULT):
            self._call_key = self._call_key or next(
                (key for key in CALL_IDS if isinstance(self.content.get(key), str)), ""
            )
            call_id = str(self.content.get(self._call_key, ""))[:MAX_NAME_CHARS]
            reader.add(role, value, self._tool_name, call_id, mime_type)
        else:
            reader.add(role, value, "", "", mime_type)

    def _value_role(self, key: str, is_input: bool) -> int:
        if key in (CALL_ARGUMENTS, CALL_RESULT) or self._kind == _TOOL:
            return TOOL_CALL if is_input else TOOL_RESULT
        if is_input:
            return USER
        return RETRIEVED if self._kind in _SEARCHES else ASSISTANT

    def _mime_type(self, key: str, value: Json, role: int) -> str:
        sent = self.content.pop(MIME_TYPES[key], "") if key in MIME_TYPES else ""
        if sent and isinstance(sent, str):
            return "" if sent == "text/plain" else sent[:MAX_MIME_TYPE_CHARS]
        is_often_json = role in (TOOL_CALL, TOOL_RESULT) or key.startswith("traceloop.")
        return json_type(value) if is_often_json else ""
