"""The command line: `bartizan COMMAND`. `main` is the console script."""

import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from bartizan.plugins.errors import ConfigError
from bartizan.server.cli import (
    apply,
    check,
    demo,
    doctor,
    export,
    findings,
    keys,
    login,
    profiles,
    projects,
    reveal,
    rules,
    send,
    serve,
    sessions,
    tail,
    traces,
    version,
)
from bartizan.server.cli.errors import Failed

USAGE = 2
FAILURE = 1
INTERRUPTED = 130
"""What shells report for a program that was ended by Ctrl-C."""

app = typer.Typer(
    name="bartizan",
    help="Watches AI agents: stores what they do, redacts and judges it.",
    epilog="Start with 'bartizan serve', then 'bartizan send examples/sample-traces.ndjson --now'.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("login")(login.login)
app.command("logout")(login.logout)
app.add_typer(profiles.app)
app.command("send")(send.send)
app.command("tail")(tail.tail)
app.command("traces")(traces.traces)
app.command("trace")(traces.trace)
app.command("sessions")(sessions.sessions)
app.command("export")(export.export)
app.command("check")(check.check)
app.command("apply")(apply.apply)
app.add_typer(rules.app)
app.command("findings")(findings.findings)
app.command("label")(findings.label)
app.command("reveal")(reveal.reveal)
app.add_typer(keys.app)
app.add_typer(projects.app)
app.command("doctor")(doctor.doctor)
app.command("version")(version.version)


def main() -> None:
    """Runs the command that the program's arguments name, and exits."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code.

    That is 0, 1 for a failure, 2 for wrong usage and 130 after Ctrl-C.
    """
    try:
        code = app(list(arguments), prog_name="bartizan", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        sentence, code = _explain(error)
        if not sentence:
            raise
        print(sentence, file=sys.stderr)  # noqa: T201
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> tuple[str, int]:
    """Returns one sentence and an exit code for an expected error, else an empty sentence."""
    if isinstance(error, TyperException):
        return _usage(error), USAGE
    if isinstance(error, ConfigError):
        return f"bartizan: {error.message}", USAGE
    if isinstance(error, Failed):
        return f"bartizan: {error}", FAILURE
    if isinstance(error, OSError):
        about = f"{error.filename}: " if error.filename else ""
        return f"bartizan: {about}{error.strerror or type(error).__name__}.", FAILURE
    from bartizan.client import BartizanError, InvalidArgument
    from bartizan.server.cli.connection import describe

    if not isinstance(error, BartizanError):
        return "", FAILURE
    return f"bartizan: {describe(error)}", USAGE if isinstance(error, InvalidArgument) else FAILURE


def _usage(error: TyperException) -> str:
    message = error.format_message()
    if message.startswith("Usage:"):
        return message
    message = " ".join(message.replace("Value error, ", "").split()).rstrip(".")
    message += "" if message.endswith("?") else "."
    context = getattr(error, "ctx", None)
    hint = f" See '{context.command_path} --help'." if context is not None else ""
    return f"bartizan: {message}{hint}"
