"""The way to the server, and what to say when it fails."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bartizan.client import Bartizan, BartizanError

ATTEMPTS = 3
"""A person waits: a second or so for a server that is just restarting, and no longer."""


def connect(endpoint: str | None, api_key: str | None, ca_file: str | None = None) -> "Bartizan":
    """Returns a client for the options that every command has."""
    # gRPC's own log would mix with what the command says; errors reach us all the same.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from bartizan.client import Bartizan, Tls

    tls = Tls(ca_file=ca_file) if ca_file else None
    return Bartizan(api_key, endpoint, tls, max_attempts=ATTEMPTS)


def describe(error: "BartizanError") -> str:
    """Returns one sentence that says what failed and what to do about it."""
    from bartizan.client import Unauthenticated, Unavailable, Unimplemented

    if isinstance(error, Unavailable) and not error.reason:
        return (
            "No server answers; start one with 'bartizan serve' "
            "or say where it is with --endpoint HOST:PORT."
        )
    if isinstance(error, Unimplemented):
        return "What answers there is not this version of Bartizan; look at --endpoint."
    if isinstance(error, Unauthenticated):
        return f"{error.message.rstrip('.')}; give a key with --api-key or BARTIZAN_API_KEY."
    return error.message if error.message.endswith(".") else f"{error.message}."
