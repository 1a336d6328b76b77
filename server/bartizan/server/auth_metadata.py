"""The key in the metadata of a call."""

from collections.abc import Mapping

from bartizan.plugins.errors import Unauthenticated


def key_in(metadata: Mapping[str, str]) -> str:
    """Returns what a call carries as its key; raises Unauthenticated when it carries none.

    `authorization: Bearer KEY` comes before `x-api-key: KEY`.
    """
    scheme, _, token = metadata.get("authorization", "").strip().partition(" ")
    key = token if scheme.lower() == "bearer" else metadata.get("x-api-key", "")
    if not key.strip():
        raise Unauthenticated(
            "MISSING_KEY",
            'the call carries no API key; send "authorization: Bearer KEY" or "x-api-key: KEY"',
        )
    return key.strip()


def invalid_key() -> Unauthenticated:
    """Returns the one error for keys that are unknown, expired or revoked."""
    return Unauthenticated("INVALID_KEY", "the API key is not valid: unknown, expired or revoked")
