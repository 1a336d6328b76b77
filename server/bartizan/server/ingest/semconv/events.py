"""Reads messages that older conventions put in span events."""

from collections.abc import Iterable, Mapping, Sequence

from bartizan.server.ingest.semconv.messages import SYSTEM, Reader
from bartizan.server.ingest.span import Event, Json

_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE = "gen_ai.choice"
_INPUT_LISTS = {
    "gen_ai.content.prompt": ("gen_ai.prompt",),
    "gen_ai.client.inference.operation.details": (
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
    ),
}
_OUTPUT_LISTS = {
    "gen_ai.content.completion": ("gen_ai.completion",),
    "gen_ai.client.inference.operation.details": ("gen_ai.output.messages",),
}
_BODIES = ("gen_ai.event.content", "message", "body")
"""Attributes that hold a whole message."""


def take_input(events: Iterable[Event], reader: Reader) -> list[Event]:
    """Reads what went in; returns the events that have more to say. Raises Rejection."""
    return [event for event in events if not _take(event, reader, _ROLES, _INPUT_LISTS)]


def take_output(events: Iterable[Event], reader: Reader) -> list[Event]:
    """Reads what came out; returns the events that have more to say. Raises Rejection."""
    return [
        event for event in events if not _take(event, reader, {_CHOICE: "assistant"}, _OUTPUT_LISTS)
    ]


def _take(
    event: Event, reader: Reader, roles: Mapping[str, str], lists: Mapping[str, Sequence[str]]
) -> bool:
    role = roles.get(event.name)
    if role is not None:
        reader.read_one(_message(event.attributes, role, reader))
        return True
    return _take_lists(event.attributes, reader, lists.get(event.name, ()))


def _take_lists(attributes: dict[str, Json], reader: Reader, keys: Sequence[str]) -> bool:
    found = [key for key in keys if key in attributes]
    for key in found:
        role = SYSTEM if key == "gen_ai.system_instructions" else None
        reader.read(attributes.pop(key), role)
    return bool(found) and not attributes


def _message(attributes: dict[str, Json], role: str, reader: Reader) -> dict[str, Json]:
    message: dict[str, Json] = {"role": role, **attributes}
    body = next((attributes[key] for key in _BODIES if key in attributes), None)
    if body is not None:
        body = reader.parsed(body)
        message |= body if isinstance(body, dict) else {"content": body}
    content = reader.parsed(message.get("content"))
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        message["content"] = content
    if role == "tool":
        message.setdefault("tool_call_id", message.get("id"))
    return message
