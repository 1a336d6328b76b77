"""A model that runs on this machine and needs no key, for the examples.

It speaks enough of the OpenAI chat completions API for an agent: asked for the first time it wants
its first tool called, and with the tool's result it answers.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers every POST."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(complete(request)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def complete(request: dict[str, Any]) -> dict[str, Any]:
    """Returns a chat completion."""
    results = [one["content"] for one in request["messages"] if one["role"] == "tool"]
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if request.get("tools") and not results:
        name = request["tools"][0]["function"]["name"]
        function = {"name": name, "arguments": '{"city": "Oslo"}'}
        message["tool_calls"] = [{"id": "call-1", "type": "function", "function": function}]
    else:
        message["content"] = f"I found: {results[-1] if results else 'nothing'}"
    words = sum(len(str(one.get("content"))) for one in request["messages"]) // 4
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": words, "completion_tokens": 9, "total_tokens": words + 9},
    }


@contextmanager
def loopback_model() -> Iterator[str]:
    """Yields the address of the running model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
