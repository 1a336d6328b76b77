"""Asks the Perspective API what it thinks of a piece of text."""

import json
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

PATH = "/v1alpha1/comments:analyze"

MAX_ANSWER_BYTES = 256 * 1_024
"""An answer with ten attributes has about 2 KB."""

MAX_RETRY_AFTER_SECONDS = 3_600.0

BUSY = 429
SERVER_ERRORS = 500
GOOD = 200

NOT_ITS_LANGUAGE = ("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "Unable to detect language")
"""The kind of the error, and what it says where it has no kind."""


class PerspectiveError(RuntimeError):
    """The base of what goes wrong. Quotes neither the text nor the key nor the answer.

    Attributes:
        retry_after_s: when to try again, if the service says so; None if that is of no use.
    """

    retryable = False

    def __init__(self, said: str, retry_after_s: float = 0.0) -> None:
        super().__init__(said)
        self.retry_after_s = retry_after_s


class PerspectiveRefused(PerspectiveError):
    """Raised when the service does not take a request: a wrong key, an unknown attribute."""


class PerspectiveGarbled(PerspectiveError):
    """Raised when an answer is none."""


class PerspectiveLanguage(PerspectiveError):
    """Raised when the service does not judge the language of a text."""


class PerspectiveBusy(PerspectiveError):
    """Raised when more was asked than the quota allows."""

    retryable = True


class PerspectiveDown(PerspectiveError):
    """Raised when the service fails, or cannot be reached in time."""

    retryable = True


class Request:
    """One request, in a thread, that can be given up from another one."""

    def __init__(
        self, endpoint: str, key: str, timeout_s: float, context: ssl.SSLContext | None
    ) -> None:
        """Takes where to send it to. `timeout_s` is how long one step may take."""
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port
        self._key = key
        self._given_up = threading.Event()
        self._socket: socket.socket | None = None
        self._connection = (
            HTTPConnection(host, port, timeout=timeout_s)
            if url.scheme == "http"
            else HTTPSConnection(host, port, timeout=timeout_s, context=context)
        )

    def scores(self, body: bytes) -> Mapping[str, Any]:
        """Returns the scores by attribute. Raises PerspectiveError."""
        try:
            self._connection.connect()
            # The connection forgets it as soon as an answer begins.
            self._socket = self._connection.sock
            if self._given_up.is_set():
                raise PerspectiveDown("nobody waits")
            headers = {"Content-Type": "application/json", "X-Goog-Api-Key": self._key}
            self._connection.request("POST", PATH, body, headers)
            with self._connection.getresponse() as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
                if response.length and len(answer) <= MAX_ANSWER_BYTES:
                    raise PerspectiveDown("an answer was cut short")
                return _scores(response, answer)
        except (OSError, HTTPException) as error:
            # The type alone: a message may quote what came back.
            raise PerspectiveDown(f"no answer: {type(error).__name__}") from None
        finally:
            self._connection.close()

    def give_up(self) -> None:
        """Ends the request soon, wherever it is."""
        self._given_up.set()
        connected = self._socket or self._connection.sock
        if connected is not None:
            # It may have ended by itself.
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)


def body_of(text: str, attributes: Mapping[str, object], languages: tuple[str, ...]) -> bytes:
    """Returns the request for one piece of text. It asks the service to keep nothing."""
    document: dict[str, object] = {
        "comment": {"text": text, "type": "PLAIN_TEXT"},
        "requestedAttributes": {name: {} for name in attributes},
        "doNotStore": True,
    }
    if languages:
        document["languages"] = languages
    return json.dumps(document).encode()


def score_of(scores: Mapping[str, Any], attribute: str) -> float:
    """Returns the score of an attribute, 0 to 1. Raises PerspectiveGarbled if there is none."""
    try:
        value = scores[attribute]["summaryScore"]["value"]
    except (KeyError, TypeError):
        value = None
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PerspectiveGarbled("an answer lacks a score")
    return float(value)


def _scores(response: HTTPResponse, answer: bytes) -> Mapping[str, Any]:
    document = _document(answer)
    if response.status != GOOD:
        raise _error(response.status, response.headers.get("Retry-After"), document)
    scores = document.get("attributeScores")
    if not isinstance(scores, dict):
        raise PerspectiveGarbled("an answer has no scores")
    return scores


def _document(answer: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(answer) if len(answer) <= MAX_ANSWER_BYTES else None
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _error(status: int, after: str | None, document: Mapping[str, Any]) -> PerspectiveError:
    said = f"the service answered with status {status}"
    if status == BUSY:
        return PerspectiveBusy(said, _seconds(after))
    if status >= SERVER_ERRORS:
        return PerspectiveDown(said, _seconds(after))
    if any(sign in json.dumps(document) for sign in NOT_ITS_LANGUAGE):
        return PerspectiveLanguage(said)
    return PerspectiveRefused(said)


def _seconds(after: str | None) -> float:
    """Returns a `Retry-After` in seconds. A date counts as none."""
    if after is None or not after.isascii() or not after.isdigit():
        return 0.0
    return min(float(after), MAX_RETRY_AFTER_SECONDS)
