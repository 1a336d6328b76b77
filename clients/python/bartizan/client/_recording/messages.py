"""Reading inputs and outputs: which texts they hold, and whose they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool_result",
    "function": "tool_result",
    "tool_call": "tool_call",
    "tool_result": "tool_result",
    "retrieved": "retrieved",
}
"""The roles of the contract, and what the providers' APIs call them."""
_DOCUMENT_KEYS = ("page_content", "content", "text")


class Text(NamedTuple):
    """One message of a span, before it is redacted.

    Attributes:
        role: a role of the contract.
        content: a text, or what becomes JSON.
        name: of the tool, or of the author.
        tool_call_id: joins a tool's call with its result.
    """

    role: str
    content: Any
    name: str = ""
    tool_call_id: str = ""


def read_messages(value: Any, role: str) -> Iterator[Text]:
    """Yields the messages in a value that `snapshot` made.

    A text is one message; a list of dicts with `role` and `content` is a conversation, as the
    providers' APIs have it; retrieved documents are one message each; all else is JSON.
    """
    if _is_message(value):
        value = [value]
    if isinstance(value, list) and value and all(map(_is_message, value)):
        for message in value:
            yield from _read_message(message)
    elif role == "retrieved" and isinstance(value, list):
        for document in value:
            yield _document(document)
    else:
        yield Text(role, value)


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        return False
    return "content" in value or "tool_calls" in value or "parts" in value


def _read_message(message: dict[str, Any]) -> Iterator[Text]:
    role = ROLES.get(message["role"].lower(), "user")
    call_id, name = (_short(message.get(key)) for key in ("tool_call_id", "name"))
    content = message.get("content", message.get("parts"))
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        if part not in (None, ""):
            yield from _read_part(part, role, name, call_id)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        yield _tool_call(call)


def _read_part(part: Any, role: str, name: str, call_id: str) -> Iterator[Text]:
    kind = part.get("type", "text") if isinstance(part, dict) else ""
    if kind == "tool_use":
        yield Text("tool_call", part.get("input"), _short(part.get("name")), _short(part.get("id")))
    elif kind == "tool_result":
        yield Text("tool_result", part.get("content"), name, _short(part.get("tool_use_id")))
    elif kind and isinstance(text := part.get("text", part.get("content")), str):
        yield Text(role, text, name, call_id)
    else:
        yield Text(role, part, name, call_id)


def _tool_call(call: Any) -> Text:
    if not isinstance(call, dict):
        return Text("tool_call", call)
    function = call.get("function")
    if not isinstance(function, dict):
        function = call
    arguments = _parsed(function.get("arguments", function.get("args")))
    return Text("tool_call", arguments, _short(function.get("name")), _short(call.get("id")))


def _parsed(arguments: Any) -> Any:
    # The providers send the arguments as a text that is JSON; redacted as a text it could break.
    try:
        return json.loads(arguments)
    except (TypeError, ValueError, RecursionError):
        return arguments


def _document(document: Any) -> Text:
    if isinstance(document, dict):
        for key in _DOCUMENT_KEYS:
            if isinstance(document.get(key), str):
                name = document.get("name", document.get("id", document.get("source")))
                return Text("retrieved", document[key], _short(name))
    return Text("retrieved", document)


def as_json(value: Any) -> str:
    """Returns the JSON of what `snapshot` made."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _short(value: Any) -> str:
    return value if isinstance(value, str) else ""
