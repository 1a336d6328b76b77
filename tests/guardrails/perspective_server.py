"""A server on this machine that speaks like the Perspective API."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

KEY = "planted-key-7c1f"


class Answer(NamedTuple):
    """What the server says."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Server:
    """What was asked of the server, and what it answers.

    Attributes:
        asked: the documents of the requests.
        answer: gives the answer to a document; None ends the connection without one.
        heard: set once something was asked.
        let_go: what answers that wait are waiting for.
    """

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Answer | None] = judged
        self.heard = threading.Event()
        self.let_go = threading.Event()

    @property
    def texts(self) -> list[str]:
        return [document["comment"]["text"] for document in self.asked]


def judged(document: dict[str, Any]) -> Answer:
    """Scores a text as the API does: 0.9 if there is a fool in it."""
    text = document["comment"]["text"]
    value = 0.9 if "fool" in text else 0.1
    score = {"value": value, "type": "PROBABILITY"}
    spans = [{"begin": 0, "end": len(text), "score": score}]
    scores = {
        name: {"spanScores": spans, "summaryScore": score}
        for name in document["requestedAttributes"]
    }
    answer = {"attributeScores": scores, "languages": ["en"], "detectedLanguages": ["en"]}
    return Answer(200, json.dumps(answer).encode())


def failed(status: int, message: str = "", kind: str = "", **headers: str) -> Answer:
    """An error in Google's form. It quotes what it should not, for tests to look for it."""
    details = [{"@type": "type.googleapis.com/google.commentanalyzer.Error", "errorType": kind}]
    error = {"code": status, "message": f"{message} {KEY}", "details": details}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": error}).encode(), named)


@contextmanager
def serving() -> Iterator[Server]:
    """Runs a server."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = self._answer(json.loads(body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def _answer(self, document: dict[str, Any]) -> Answer | None:
            if self.path != "/v1alpha1/comments:analyze":
                return failed(404)
            if self.headers["X-Goog-Api-Key"] != KEY:
                return failed(403, "API key not valid")
            server.asked.append(document)
            server.heard.set()
            return server.answer(document)

        def log_message(self, *_: Any) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Clients that went away are part of the tests."""

    with Quiet(("127.0.0.1", 0), Handler) as listening:
        server = Server(listening.server_address[1])
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            listening.shutdown()
            thread.join()
