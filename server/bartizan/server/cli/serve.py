"""`bartizan serve`"""

import os
from pathlib import Path
from typing import Annotated

import typer


def serve(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="For the embedded PostgreSQL and keys. [default: ~/.local/share/bartizan]",
        ),
    ] = None,
    grpc_listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The gRPC door; port 0 is a free one. [default: 127.0.0.1:4317]",
        ),
    ] = None,
    http_listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The HTTP door; port 0 is a free one. [default: 127.0.0.1:8080]",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://…, instead of the embedded PostgreSQL."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Server processes on one port. [default: 1]")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings, in YAML.")] = None,
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Guardrail rules, in YAML. [default: redact PII]"),
    ] = None,
    bootstrap_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Gets the key of the first project, mode 0600."),
    ] = None,
) -> None:
    """Start the server.

    Prints "ready grpc=HOST:PORT http=HOST:PORT" on standard output when it takes traces, and
    nothing else there. Ends on SIGTERM or Ctrl-C after it has stored what it has taken.

    Everything can also be set in the YAML file and, as BARTIZAN_..., in the environment:
    limits.queue_bytes is BARTIZAN_LIMITS__QUEUE_BYTES. Options win over the environment, and the
    environment wins over the file.

    Examples:

      bartizan serve --data-dir ./data

      bartizan serve --database-url postgresql://bartizan@db/bartizan --workers 4

      bartizan serve --config /etc/bartizan.yaml --grpc-listen 0.0.0.0:4317
    """
    # gRPC's own log is not in the form of ours; what matters of it reaches us as errors.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from bartizan.server.config_sources import load

    settings = load(
        config,
        {
            "data_dir": data_dir,
            "grpc_listen": grpc_listen,
            "http_listen": http_listen,
            "database_url": database_url,
            "workers": workers,
            "rules": rules,
            "bootstrap_key_file": bootstrap_key_file,
        },
    )
    from bartizan.server.run import run

    run(settings)
