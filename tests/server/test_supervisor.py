"""The supervisor holds the ports, and says what keeps a process from starting."""

import asyncio
import json
import socket
from pathlib import Path

import psutil
import pytest

from bartizan.plugins.errors import ConfigError
from bartizan.server import supervisor
from bartizan.server.app import Ports, Process
from bartizan.server.config import Address, Settings

LOOPBACK = Address("127.0.0.1", 0)
SECRETS = {"redaction_hash": b"\x01\xff", "page_tokens": b"t"}


def process_of(tmp_path: Path, **settings: object) -> Process:
    """Returns what two workers would be told."""
    told = Settings(
        data_dir=tmp_path,
        grpc_listen=LOOPBACK,
        http_listen=LOOPBACK,
        workers=2,
        database_url="postgresql://somebody:hunter2@db/x",
        **settings,  # type: ignore[arg-type]
    )
    return Process(told, "postgresql://somebody:hunter2@db/x", SECRETS, embedded=True)


async def never_ready(_: Ports) -> None:
    raise AssertionError


def listening() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def test_a_port_is_held_for_those_who_share_it_and_nobody_else() -> None:
    with supervisor._reserved(LOOPBACK) as address:
        assert address.port > 0
        with supervisor._bound(address, share=True) as worker:
            worker.listen()
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(address)
    with socket.socket() as later:
        later.bind(address)


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_is_taken_is_refused(shared: bool) -> None:
    with listening() as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        address = Address(*taken.getsockname())
        with (
            pytest.raises(ConfigError, match=f"cannot listen on {address}") as caught,
            supervisor._reserved(address),
        ):
            raise AssertionError
    assert caught.value.reason == "ADDRESS_UNUSABLE"


def test_a_port_that_somebody_shares_on_purpose_is_refused_too() -> None:
    with supervisor._bound(LOOPBACK, share=True) as theirs:
        theirs.listen()
        with pytest.raises(ConfigError), supervisor._reserved(Address(*theirs.getsockname())):
            raise AssertionError


def test_workers_are_told_all_they_need_and_the_settings_hold_no_secret(tmp_path: Path) -> None:
    process = process_of(tmp_path)
    grpc, http = Address("127.0.0.1", 5), Address("::1", 6)
    line = supervisor._message(process, grpc, http)
    assert b"\n" not in line
    told = json.loads(line)
    assert "hunter2" not in json.dumps(told["settings"])
    assert told["database_url"] == process.database_url
    assert {name: bytes.fromhex(value) for name, value in told["secrets"].items()} == SECRETS
    settings = Settings(**told["settings"])
    assert (settings.grpc_listen, settings.http_listen) == (grpc, http)
    assert settings.data_dir == tmp_path
    assert told["embedded"] is True


async def test_what_keeps_a_worker_from_starting_is_said(tmp_path: Path) -> None:
    process = process_of(tmp_path, rules=tmp_path / "absent.yaml")
    before = set(psutil.Process().children())
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "left-behind.db").touch()
    with pytest.raises(ConfigError, match=r"absent\.yaml") as caught:
        await supervisor.supervise(process, asyncio.Event(), never_ready)
    assert caught.value.reason == "WORKER_DID_NOT_START"
    assert "hunter2" not in str(caught.value)
    left = set(psutil.Process().children()) - before
    assert [child for child in left if child.status() != psutil.STATUS_ZOMBIE] == []
    assert list((tmp_path / "metrics").glob("left-behind*")) == []
