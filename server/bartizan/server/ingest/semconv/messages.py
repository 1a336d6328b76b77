"""Reads messages in the shapes that the conventions and the providers' APIs give them.

Every part of a message becomes one `Message`. What a message does not have a place for, such as
ids of messages and cache hints, is not kept; whole parts of a kind that is not known are, as JSON.
"""

import json
from typing import Any

import orjson

from bartizan.server.ingest.checks import Reason, Rejection, check_text
from bartizan.server.ingest.span import Json, Message
from bartizan.v1 import common_pb2

SYSTEM = common_pb2.ROLE_SYSTEM
USER = common_pb2.ROLE_USER
ASSISTANT = common_pb2.ROLE_ASSISTANT
TOOL_CALL = common_pb2.ROLE_TOOL_CALL
TOOL_RESULT = common_pb2.ROLE_TOOL_RESULT
RETRIEVED = common_pb2.ROLE_RETRIEVED

ROLES: dict[Any, int] = {
    "system": SYSTEM,
    "developer": SYSTEM,
    "user": USER,
    "human": USER,
    "assistant": ASSISTANT,
    "ai": ASSISTANT,
    "model": ASSISTANT,
    "tool": TOOL_RESULT,
    "function": TOOL_RESULT,
}
JSON_TYPE = "application/json"
MAX_NAME_CHARS = 256

_NO_CONTENT = frozenset({"role", "name", "finish_reason", "index", "type", "id"})
_TEXTS = frozenset({"", "text", "input_text", "output_text", "refusal"})
_THOUGHTS = frozenset({"reasoning", "thinking"})
_CALLS = frozenset({"tool_call", "tool_use", "function", "function_call"})
_RESULTS = frozenset({"tool_call_response", "tool_result", "function_call_output"})

_loads = orjson.loads
_new = tuple.__new__


class Reader:
    """Reads messages of one direction.

    Attributes:
        is_input: whether it is what went into the span.
        messages: what was read so far.
        finish_reasons: why the model stopped, of each message that says so.
    """

    __slots__ = ("_default_role", "_field", "finish_reasons", "is_input", "messages")

    def __init__(self, *, is_input: bool) -> None:
        self.is_input = is_input
        self._field = "input" if is_input else "output"
        self._default_role: int = USER if is_input else ASSISTANT
        self.messages: list[Message] = []
        self.finish_reasons: list[Json] = []

    def read(self, value: Json, role: int | None = None) -> None:
        """Reads a list of messages, or one, as JSON text or structured; raises Rejection.

        `role` is that of messages which do not name theirs.
        """
        value = self.parsed(value)
        for item in value if isinstance(value, list) else (value,):
            self.read_one(item, role)

    def read_one(self, item: Json, role: int | None = None) -> None:
        """Reads one message; raises Rejection."""
        default = role or self._default_role
        if not isinstance(item, dict) or ("role" not in item and "type" in item):
            self._part(item, default, "", "")
            return
        if len(item) == 2 and type(item.get("content")) is str and type(item.get("role")) is str:
            self.add(ROLES.get(item["role"], default), item["content"])
            return
        before = len(self.messages)
        named = item.get("role")
        number = ROLES.get(named, default) if isinstance(named, str) else default
        parts = item.get("parts")
        if isinstance(parts, list):
            for part in parts:
                self._part(part, number, "", "")
        else:
            self._content(item, number)
        self._finish(item)
        if len(self.messages) == before and any(item[key] for key in item.keys() - _NO_CONTENT):
            self.add(number, item)

    def _finish(self, item: dict[str, Json]) -> None:
        reason = item.get("finish_reason")
        if reason and isinstance(reason, str):
            self.finish_reasons.append(check_text(reason, self._field))

    def add(
        self, role: int, value: Json, name: str = "", call_id: str = "", mime_type: str = ""
    ) -> None:
        """Adds a text, or any other value as JSON text; raises Rejection."""
        if not isinstance(value, str):
            value, mime_type = self._dumped(value), JSON_TYPE
        if "\0" in value or "\0" in name or "\0" in call_id or "\0" in mime_type:
            raise Rejection(Reason.REJECT_REASON_BAD_TEXT, self._field, "holds the NUL character")
        self.messages.append(_new(Message, (role, value, name, call_id, mime_type, False)))

    def _content(self, item: dict[str, Json], role: int) -> None:
        name, call_id = _short(item.get("name")), _short(item.get("tool_call_id"))
        for part in _listed(item.get("content")) + _listed(item.get("contents")):
            if not isinstance(part, dict) or "tool_call" not in part:
                self._part(part, role, name, call_id)
            elif "tool_calls" not in item:
                # OpenInference tells a call twice: where it was said, and among the calls.
                self._call(_unwrapped(part, "tool_call"))
        self._calls(item)

    def _part(self, part: Json, role: int, name: str, call_id: str) -> None:
        if isinstance(part, dict):
            text = part.get("content")
            if part.get("type") == "text" and isinstance(text, str):
                self.add(role, text, name, call_id)
            else:
                self._rare_part(_unwrapped(part, "message_content"), role, name, call_id)
        elif part is not None:
            self.add(role, part, name, call_id)

    def _rare_part(self, part: dict[str, Json], role: int, name: str, call_id: str) -> None:
        kind = part.get("type")
        kind = kind if isinstance(kind, str) else ""
        text = _first(part, "content", "text", "thinking", "refusal")
        if kind in _TEXTS and isinstance(text, str):
            self.add(role, text, name, call_id)
        elif kind in _THOUGHTS and isinstance(text, str):
            self.add(ASSISTANT, text)
        elif kind in _CALLS:
            self._call(part)
        elif kind in _RESULTS:
            self._result(part)
        elif part:
            self.add(role, part, name, call_id)

    def _calls(self, item: dict[str, Json]) -> None:
        for call in _listed(item.get("tool_calls")):
            if isinstance(call, dict):
                self._call(_unwrapped(call, "tool_call"))
            else:
                self.add(TOOL_CALL, call)
        old_call = item.get("function_call")
        if isinstance(old_call, dict):
            self._call(old_call)
        if "function_call_arguments_json" in item or "function_call_name" in item:
            arguments = item.get("function_call_arguments_json") or ""
            self.call(arguments, _short(item.get("function_call_name")), "")

    def _call(self, part: dict[str, Json]) -> None:
        inner = _unwrapped(part, "function")
        arguments = _first(inner, "arguments", "input")
        self.call("" if arguments is None else arguments, _short(inner.get("name")), _id(part))

    def call(self, arguments: Json, name: str, call_id: str, mime_type: str = "") -> None:
        """Adds the call of a tool; raises Rejection."""
        mime_type = mime_type or json_type(arguments)
        self.add(TOOL_CALL, arguments, name, call_id, mime_type)

    def _result(self, part: dict[str, Json]) -> None:
        result = _first(part, "result", "response", "content", "output")
        self.add(TOOL_RESULT, "" if result is None else result, _short(part.get("name")), _id(part))

    def parsed(self, value: Json) -> Json:
        """Returns what a text says if it is a JSON list or object, else the value as it is.

        Raises Rejection when the JSON holds lone surrogates.
        """
        if not isinstance(value, str) or value[:1] not in ("[", "{"):
            return value
        try:
            parsed: Json = orjson.loads(value)
        except orjson.JSONDecodeError:
            self._refuse_surrogates(value)
            return value
        return parsed

    def _refuse_surrogates(self, text: str) -> None:
        # orjson refuses lone surrogates like any other mistake; the standard library takes them.
        try:
            json.dumps(json.loads(text), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Rejection(
                Reason.REJECT_REASON_BAD_TEXT, self._field, "is not valid Unicode"
            ) from None
        except (ValueError, RecursionError):
            return

    def _dumped(self, value: Json) -> str:
        try:
            return orjson.dumps(value).decode()
        except TypeError:
            raise Rejection(
                Reason.REJECT_REASON_TOO_LARGE, self._field, "holds JSON nested too deep"
            ) from None


def plain_messages(text: Json, reasons: list[Json]) -> list[Message] | None:
    """Reads a list of messages that are nothing but texts: nearly all, so this is the hot path.

    Adds to `reasons` why the model stopped. Returns None for any other list; `Reader` knows more.
    """
    # Looking for one character is ten times as fast as looking for six.
    if type(text) is not str or ("\\" in text and "\\u0000" in text):
        return None
    messages = []
    try:
        for item in _loads(text):
            role = ROLES[item["role"]]
            for part in item["parts"]:
                content = part["content"]
                if part["type"] != "text" or type(content) is not str:
                    return None
                messages.append(_new(Message, (role, content, "", "", "", False)))
            if "finish_reason" in item:
                reasons.append(item["finish_reason"] + "")
    except (ValueError, TypeError, KeyError):
        return None
    return messages


def json_type(value: Json) -> str:
    """Returns the media type of JSON if a value is, or looks like, a JSON object or list."""
    if isinstance(value, str):
        return JSON_TYPE if value[:1] in ("{", "[") else ""
    return JSON_TYPE


def _first(item: dict[str, Json], *keys: str) -> Json:
    for key in keys:
        if (value := item.get(key)) is not None:
            return value
    return None


def _listed(value: Json) -> list[Json]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _unwrapped(item: dict[str, Json], key: str) -> dict[str, Json]:
    inner = item.get(key)
    return inner if isinstance(inner, dict) else item


def _short(value: Json) -> str:
    return value[:MAX_NAME_CHARS] if isinstance(value, str) else ""


def _id(part: dict[str, Json]) -> str:
    return _short(_first(part, "call_id", "tool_use_id", "id"))
