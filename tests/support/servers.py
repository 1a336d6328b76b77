"""Servers for end-to-end tests that several modules start alike, and plain ways to talk to them."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

from tests.support.serving import NO_RULES, Serving


def unjudged(folder: Path, *options: str, **environment: str) -> Serving:
    """Returns a server without rules, which starts fast; it is not started yet."""
    rules = folder / "rules.yaml"
    rules.write_text(NO_RULES)
    return Serving(folder / "data", ["--rules", str(rules), *options], environment)


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    """Returns the gRPC metadata that carries a key."""
    return (("authorization", f"Bearer {key}"),)


def post(
    serving: Serving,
    path: str,
    body: bytes,
    content_type: str,
    *,
    key: str | None = None,
    **headers: str,
) -> tuple[int, Message, bytes]:
    """Returns status, headers and body of an HTTP POST; `key` is the first key when not given."""
    request = urllib.request.Request(
        f"http://{serving.http}{path}",
        body,
        {
            "content-type": content_type,
            "authorization": f"Bearer {serving.key if key is None else key}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def bartizan(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command of `bartizan` to its end; of its variables, only these reach it."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("BARTIZAN_")}
    return subprocess.run(
        [str(Path(sys.executable).with_name("bartizan")), *arguments],
        capture_output=True,
        text=True,
        env={**inherited, **environment},
        timeout=60,
    )


def refusal(*arguments: str, **environment: str) -> str:
    """Runs a command that must end with exit code 2; returns the one sentence that it says.

    What the server logged before it is left out.
    """
    done = bartizan(*arguments, **{"BARTIZAN_LOG__FORMAT": "json", **environment})
    assert (done.returncode, done.stdout) == (2, ""), done.stderr[-2000:]
    said = [line for line in done.stderr.splitlines() if not line.startswith('{"')]
    assert len(said) == 1, done.stderr[-2000:]
    assert said[0].startswith("bartizan: ")
    return said[0]
