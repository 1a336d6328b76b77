"""Answers in the wire format of OpenAI: chat completions and responses, whole or streamed."""

from collections.abc import Iterator
from typing import Any

from tests.support.llm_server.answers import MODEL, Answer, ToolCall

Json = dict[str, Any]


def completion(answer: Answer) -> Json:
    """Returns the body of a chat completion."""
    message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answer)}
    return {**_head("chat.completion"), "choices": [choice], "usage": _usage(answer)}


def completion_events(answer: Answer, request: Json) -> Iterator[Json | str]:
    """Yields the data of the events of a streamed chat completion."""
    yield _chunk({"role": "assistant", "content": ""})
    for piece in answer.chunks:
        yield _chunk({"content": piece})
    for index, call in enumerate(answer.calls):
        yield _chunk({"tool_calls": [{"index": index, **_call(call)}]})
    yield _chunk({}, _reason(answer))
    if request.get("stream_options", {}).get("include_usage"):
        yield {**_head("chat.completion.chunk"), "choices": [], "usage": _usage(answer)}
    yield "[DONE]"


def response(answer: Answer, status: str = "completed") -> Json:
    """Returns the body of a response."""
    content = {"type": "output_text", "text": answer.text, "annotations": []}
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }
    calls = [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }
        for call in answer.calls
    ]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": MODEL,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "output": [*([message] if answer.text else []), *calls],
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": answer.cached},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    }


def response_events(answer: Answer) -> Iterator[Json]:
    """Yields the data of the events of a streamed response that holds a text."""
    started = {**response(Answer(), "in_progress"), "usage": None}
    whole = response(answer)
    item = whole["output"][0]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {
            "type": "response.content_part.added",
            **place,
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        *(
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in answer.chunks
        ),
        {"type": "response.output_text.done", **place, "text": answer.text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


def error(status: int, message: str) -> Json:
    """Returns the body of an error."""
    kind = "rate_limit_error" if status == 429 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _head(kind: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": MODEL}


def _chunk(delta: Json, reason: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**_head("chat.completion.chunk"), "choices": [choice], "usage": None}


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _reason(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _usage(answer: Answer) -> Json:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
    }
