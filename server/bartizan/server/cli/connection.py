"""The way to the server, and what to say when it fails."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bartizan.client import Bartizan, BartizanError
    from bartizan.server.cli.options import Server
    from bartizan.server.cli.profile_file import Profile

ATTEMPTS = 3
"""A person waits: a second or so for a server that is just restarting, and no longer."""
TOGETHER = (("endpoint",), ("api_key",), ("ca_file",), ("cert_file", "key_file"))
"""What comes from one place or from another: half a pair from each would not fit."""
FAILURES = {
    "CERTIFICATE_VERIFY_FAILED": "The server's certificate is not signed by an authority that is "
    "known here; say who signed it with --ca-file.",
    "Hostname Verification": "The server's certificate is for another host than --endpoint says.",
    "WRONG_VERSION_NUMBER": "The server speaks no TLS; give --endpoint without https:// and leave "
    "out --ca-file.",
    **dict.fromkeys(
        ("Failed parsing HTTP/2", "http1.x"),
        "What answers there speaks HTTP, not gRPC; give the port for gRPC with --endpoint, "
        "4317 unless it was changed.",
    ),
    "CERTIFICATE_REQUIRED": "The server wants a certificate of yours; give --cert-file and "
    "--key-file.",
}
"""How gRPC words what went wrong with a connection, and what to do about it."""


def connect(server: "Server") -> "Bartizan":
    """Returns a client for the server that options, environment and profile say.

    Raises:
        ConfigError: there is no such profile, or the config file is not in order.
        InvalidArgument: the endpoint is not of its form, or a TLS file cannot be read.
    """
    return dial(choose(server))


def dial(where: "Profile") -> "Bartizan":
    """Returns a client for exactly this server; raises InvalidArgument as `connect` does."""
    # gRPC's own log would mix with what the command says; errors reach us all the same.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from bartizan.client import Bartizan, Tls

    files = (where.ca_file, where.cert_file, where.key_file)
    tls = Tls(*files) if any(files) else None
    return Bartizan(where.api_key or None, where.endpoint or None, tls, max_attempts=ATTEMPTS)


def choose(server: "Server") -> "Profile":
    """Returns where to go: options win over the environment, and that over the profile.

    A profile that --profile names counts as an option. Any other gives its key and files to no
    server but its own, and is not looked at when server and key are both told.

    Raises:
        ConfigError: there is no such profile, or the config file is not in order.
    """
    from bartizan.server.cli.profile_file import Profile, load

    options = Profile(
        server.endpoint or "", server.api_key or "", server.ca_file or "",
        server.cert_file or "", server.key_file or "",
    )  # fmt: skip
    environment = Profile(
        os.environ.get("BARTIZAN_ENDPOINT", ""), os.environ.get("BARTIZAN_API_KEY", "")
    )
    if server.profile:
        options = _over(options, load().get(server.profile))
    chosen = _over(options, environment)
    if server.profile or (chosen.endpoint and chosen.api_key):
        return chosen
    profile = _standing()
    return _over(chosen, profile) if chosen.endpoint in ("", profile.endpoint) else chosen


def _standing() -> "Profile":
    """Returns the profile that holds when no option names one."""
    from bartizan.server.cli.profile_file import Profile, load

    profiles = load()
    name = os.environ.get("BARTIZAN_PROFILE") or profiles.current
    return profiles.get(name) if name else Profile()


def _over(above: "Profile", below: "Profile") -> "Profile":
    """Returns what the first says, and the second where the first is silent."""
    for group in TOGETHER:
        if not any(getattr(above, name) for name in group):
            above = replace(above, **{name: getattr(below, name) for name in group})
    return above


def describe(error: "BartizanError") -> str:
    """Returns one sentence that says what failed and what to do about it."""
    from bartizan.client import Unauthenticated, Unavailable, Unimplemented

    if isinstance(error, Unavailable) and not error.reason:
        told = (said for sign, said in FAILURES.items() if sign in error.message)
        return next(
            told,
            "No server answers; start one with 'bartizan serve' "
            "or say where it is with --endpoint HOST:PORT.",
        )
    if isinstance(error, Unimplemented):
        return "What answers there is not this version of Bartizan; look at --endpoint."
    if isinstance(error, Unauthenticated):
        return (
            f"{error.message.rstrip('.')}; give a key with --api-key or BARTIZAN_API_KEY, "
            "or store one with 'bartizan login'."
        )
    return error.message if error.message.endswith(".") else f"{error.message}."
