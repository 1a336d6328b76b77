"""Answers in the wire format of Gemini: generateContent, whole or streamed."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.llm_server.answers import MODEL, Answer

Json = dict[str, Any]


def content(answer: Answer) -> Json:
    """Returns the body of generated content."""
    calls = [
        {"functionCall": {"id": call.id, "name": call.name, "args": json.loads(call.arguments)}}
        for call in answer.calls
    ]
    return _part([*([{"text": answer.text}] if answer.text else []), *calls], answer)


def events(answer: Answer) -> Iterator[Json]:
    """Yields the pieces of streamed content."""
    if answer.calls:
        yield content(answer)
        return
    for piece in answer.chunks[:-1]:
        yield _part([{"text": piece}], None)
    yield _part([{"text": piece} for piece in answer.chunks[-1:]], answer)


def error(status: int, message: str) -> Json:
    """Returns the body of an error."""
    name = "RESOURCE_EXHAUSTED" if status == 429 else "INTERNAL"
    return {"error": {"code": status, "message": message, "status": name}}


def _part(parts: list[Json], ended: Answer | None) -> Json:
    candidate: Json = {"index": 0, "content": {"role": "model", "parts": parts}}
    if ended is None:
        return {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r-1"}
    candidate["finishReason"] = "STOP"
    usage = {
        "promptTokenCount": ended.input_tokens,
        "cachedContentTokenCount": ended.cached,
        # Gemini counts thoughts beside the other output, not among it.
        "candidatesTokenCount": ended.output_tokens - ended.reasoning,
        "thoughtsTokenCount": ended.reasoning,
        "totalTokenCount": ended.input_tokens + ended.output_tokens,
    }
    return {
        "candidates": [candidate],
        "modelVersion": MODEL,
        "responseId": "r-1",
        "usageMetadata": usage,
    }
