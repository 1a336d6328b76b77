"""Answers in the wire format of Anthropic: messages, whole or streamed."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.llm_server.answers import MODEL, Answer

Json = dict[str, Any]


def message(answer: Answer) -> Json:
    """Returns the body of a message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "stop_reason": _reason(answer),
        "stop_sequence": None,
        "content": _blocks(answer),
        "usage": {**_input_usage(answer), "output_tokens": answer.output_tokens},
    }


def events(answer: Answer) -> Iterator[Json]:
    """Yields the events of a streamed message."""
    start = {
        **message(answer),
        "content": [],
        "stop_reason": None,
        "usage": {**_input_usage(answer), "output_tokens": 1},
    }
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(_blocks(answer)):
        if block["type"] == "text":
            empty: Json = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in answer.chunks]
        else:
            empty = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": _reason(answer), "stop_sequence": None},
        "usage": {"output_tokens": answer.output_tokens},
    }
    yield {"type": "message_stop"}


def error(status: int, text: str) -> Json:
    """Returns the body of an error."""
    kind = "rate_limit_error" if status == 429 else "api_error"
    return {"type": "error", "error": {"type": kind, "message": text}}


def _blocks(answer: Answer) -> list[Json]:
    text = [{"type": "text", "text": answer.text}] if answer.text else []
    calls = [
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": json.loads(call.arguments),
        }
        for call in answer.calls
    ]
    return [*text, *calls]


def _reason(answer: Answer) -> str:
    return "tool_use" if answer.calls else "end_turn"


def _input_usage(answer: Answer) -> Json:
    # Anthropic counts cached tokens beside the others, not among them.
    return {
        "input_tokens": answer.input_tokens - answer.cached,
        "cache_read_input_tokens": answer.cached,
        "cache_creation_input_tokens": 0,
    }
