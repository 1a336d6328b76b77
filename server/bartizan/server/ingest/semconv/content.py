"""Chooses, of all the places where a span may carry its messages, those that count."""

from collections.abc import Iterable
from typing import Any

from bartizan.server.ingest.checks import MAX_EVENTS, MAX_MESSAGES, check_count, check_json
from bartizan.server.ingest.semconv import events as carried
from bartizan.server.ingest.semconv.flattened import group, nest
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
    content: dict[str, Json], attributes: dict[str, Json]
) -> tuple[list[Message], list[Message]] | None:
    """Returns input and output messages if they are plain texts in today's convention.

    Otherwise returns None, and the choice is for `Chooser`.
    """
    if len(content) != 2:
        return None if content else ([], [])
    reasons: list[Json] = []
    inputs = plain_messages(content.get(INPUT_MESSAGES), [])
    outputs = plain_messages(content.get(OUTPUT_MESSAGES), reasons)
    if not inputs or not outputs or len(inputs) + len(outputs) > MAX_MESSAGES:
        return None
    if reasons and FINISH_REASONS not in attributes:
        attributes[FINISH_REASONS] = check_json(reasons, FINISH_REASONS)
    return inputs, outputs


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
        self._carried = bool(events) and any(e.name.startswith("gen_ai.") for e in events)
        self._call_key = ""

    def choose(self, values: list[Any]) -> tuple[list[Message], list[Message]]:
        """Returns input and output messages of a span with these typed values.

        What is not used goes to the attributes. Raises Rejection.
        """
        self._kind, self._tool_name = values[KIND], values[TOOL_NAME]
        inputs, outputs = Reader("input", USER), Reader("output", ASSISTANT)
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

    def _read_first(self, sources: Iterable[Source], reader: Reader) -> None:
        content, groups = self.content, self._groups
        for form, key in sources:
            if key in content:
                self._read_content(form, key, reader)
            elif key in groups:
                self._read_flat(key, reader)
            elif form == Form.EVENTS and self._carried:
                take = carried.take_input if sources is INPUT else carried.take_output
                self.events = take(self.events, reader)
                if not reader.messages:
                    continue
            else:
                continue
            return

    def _read_flat(self, key: str, reader: Reader) -> None:
        attributes = self._groups.pop(key)
        for used in attributes:
            del self.flat[used]
        items = nest(key, attributes)
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
        role = self._value_role(key, reader.default_role == USER)
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
