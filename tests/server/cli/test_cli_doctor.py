"""What the doctor sees."""

import socket
from pathlib import Path

from tests.server.cli.conftest import Command

NAMES = [
    "python", "data directory", "disk", "gRPC port", "HTTP port", "database", "TimescaleDB",
    "migrations", "clock", "extras",
]  # fmt: skip


def states(done: object) -> dict[str, str]:
    (report,) = done.lines  # type: ignore[attr-defined]
    return {check["name"]: check["state"] for check in report["checks"]}


def test_a_fresh_machine_is_well(bartizan: Command, tmp_path: Path) -> None:
    done = bartizan("doctor", "--data-dir", tmp_path / "new" / "data", "--grpc-listen",
                    "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--json")  # fmt: skip
    assert done.code == 0
    assert list(states(done)) == NAMES
    assert states(done)["database"] == "warning"
    assert not (tmp_path / "new").exists()


def test_a_taken_port_is_told(bartizan: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bartizan(
            "doctor", "--data-dir", tmp_path, "--grpc-listen", f"127.0.0.1:{port}", "--json"
        )
    assert states(done)["gRPC port"] == "warning"


def test_a_database_that_is_away_is_wrong(bartizan: Command, tmp_path: Path) -> None:
    url = "postgresql://someone:hidden-password@127.0.0.1:1/none"
    done = bartizan("doctor", "--data-dir", tmp_path, "--database-url", url, "--json")
    assert done.code == 1
    assert states(done)["database"] == "failed"
    assert "hidden-password" not in done.out + done.err


def test_for_people_it_is_a_list(bartizan: Command, tmp_path: Path) -> None:
    done = bartizan("doctor", "--data-dir", tmp_path)
    assert [line[2:].split(":")[0] for line in done.out.splitlines()] == NAMES
