"""Page tokens: opaque to callers, bound to the query they came from, and signed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

from bartizan.plugins.errors import InvalidArgument

MAC_BYTES = 16
MAX_TOKEN_CHARS = 4_096
"""A position is a time and an id, and no id is longer than 256 characters."""


class PageTokens:
    """Makes and reads page tokens.

    Args:
        key: random bytes that all server processes on a database share.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, query: str, position: Sequence[str]) -> str:
        """Returns the token for what follows `position` in the results of `query`.

        `query` says everything that the results depend on: method, project, filter.
        """
        body = json.dumps(list(position), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._mac(query, body) + body).rstrip(b"=").decode()

    def open(self, query: str, token: str) -> Sequence[str]:
        """Returns the position; raises InvalidArgument for a token of another query, or none."""
        raw = _decode(token)
        body = raw[MAC_BYTES:]
        if not hmac.compare_digest(raw[:MAC_BYTES], self._mac(query, body)):
            raise InvalidArgument(
                "BAD_PAGE_TOKEN",
                "The page token is not one that this list gave for the same filter.",
                field="page_token",
            )
        position: list[str] = json.loads(body)
        return position

    def _mac(self, query: str, body: bytes) -> bytes:
        message = hashlib.sha256(query.encode()).digest() + body
        return hmac.digest(self._key, message, "sha256")[:MAC_BYTES]


def page_size(requested: int, default: int, most: int) -> int:
    """Returns how many items a page holds; raises InvalidArgument for a negative number."""
    if requested < 0:
        raise InvalidArgument("BAD_PAGE_SIZE", "page_size must not be negative.", field="page_size")
    return min(requested or default, most)


def _decode(token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        return b""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return b""
    # The decoder passes over what is not of its alphabet; only one spelling is ours.
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=") == token.encode() else b""
