"""A model on this machine that speaks the APIs of OpenAI, Anthropic and Gemini by a script."""

import json
import threading
from collections import deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.support.llm_server import anthropic_wire, gemini_wire, openai_wire
from tests.support.llm_server.answers import ANSWER, Answer, Fault

Json = dict[str, Any]
POLL_S = 0.01


class LlmServer:
    """Serves until the block ends. It gives the answers in order, then ANSWER for ever.

    Attributes:
        requests: path and body of all that was asked.
    """

    def __init__(self, script: Iterable[Answer | Fault] = ()) -> None:
        self.script = deque(script)
        self.requests: list[tuple[str, Json]] = []
        self._lock = threading.Lock()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(POLL_S,))

    @property
    def url(self) -> str:
        """Where it serves, without a slash at the end; OpenAI's clients add `/v1`."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def take(self, path: str, body: Json) -> Answer | Fault:
        """Notes a request and returns what to answer."""
        with self._lock:
            self.requests.append((path, body))
            return self.script.popleft() if self.script else ANSWER

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    def __init__(self, model: LlmServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model


class _Handler(BaseHTTPRequestHandler):
    server: "_Http"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = self.server.model.take(self.path, body)
        if isinstance(answer, Fault):
            self._send(answer.status, _error(self.path, answer))
        elif _is_gemini(self.path):
            self._gemini(answer)
        elif self.path.startswith("/v1/messages"):
            self._anthropic(answer, body)
        elif self.path == "/v1/chat/completions":
            self._completion(answer, body)
        elif self.path == "/v1/responses":
            self._response(answer, body)
        else:
            self._send(404, {})

    def log_message(self, *_: object) -> None:
        pass

    def _gemini(self, answer: Answer) -> None:
        if ":streamGenerateContent" in self.path:
            self._stream(map(json.dumps, gemini_wire.events(answer)))
        else:
            self._send(200, gemini_wire.content(answer))

    def _anthropic(self, answer: Answer, body: Json) -> None:
        if not body.get("stream"):
            self._send(200, anthropic_wire.message(answer))
            return
        events = anthropic_wire.events(answer)
        self._stream((json.dumps(event), event["type"]) for event in events)

    def _completion(self, answer: Answer, body: Json) -> None:
        if not body.get("stream"):
            self._send(200, openai_wire.completion(answer))
            return
        events = openai_wire.completion_events(answer, body)
        self._stream(one if isinstance(one, str) else json.dumps(one) for one in events)

    def _response(self, answer: Answer, body: Json) -> None:
        if not body.get("stream"):
            self._send(200, openai_wire.response(answer))
            return
        events = openai_wire.response_events(answer)
        self._stream((json.dumps(event), event["type"]) for event in events)

    def _send(self, status: int, body: Json) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(encoded)

    def _stream(self, events: Iterable[str | tuple[str, str]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in events:
            data, name = (event, "") if isinstance(event, str) else event
            head = f"event: {name}\n" if name else ""
            self.wfile.write(f"{head}data: {data}\n\n".encode())
            self.wfile.flush()


def _error(path: str, fault: Fault) -> Json:
    if _is_gemini(path):
        return gemini_wire.error(fault.status, fault.message)
    if path.startswith("/v1/messages"):
        return anthropic_wire.error(fault.status, fault.message)
    return openai_wire.error(fault.status, fault.message)


def _is_gemini(path: str) -> bool:
    return path.startswith(("/v1/models/", "/v1beta/models/"))
