"""The embedded PostgreSQL is killed, left behind, started twice and put in odd places."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from bartizan.plugins.errors import ConfigError
from bartizan.server.store import embedded
from bartizan.server.store.embedded import NOBODY, SOCKET_PATH_LIMIT, EmbeddedPostgres
from bartizan.server.store.engine import AWAY, connect

DEADLINE_S = 25
"""Less than the waits that end in failure, and more than anything else takes."""


@pytest.fixture(autouse=True)
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_INTERVAL_S", 0.05)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data directory that one test after the other uses."""
    # Not in pytest's own folder, which is shut to the user that PostgreSQL runs as under root.
    with tempfile.TemporaryDirectory(prefix="bartizan-embedded-") as folder:
        yield Path(folder) / "data"


@pytest.fixture
async def postgres(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with asyncio.timeout(2 * DEADLINE_S), EmbeddedPostgres(data_dir) as postgres:
        yield postgres


async def ask(url: str, statement: str) -> object:
    """Asks until the database answers."""
    while True:
        with contextlib.suppress(*AWAY):
            connection = await connect(url)
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()
        await asyncio.sleep(0.01)


def kill(postgres: EmbeddedPostgres) -> int:
    pid = postgres.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def postmasters(data_dir: Path) -> list[int]:
    """Returns the processes that serve a data directory."""
    cluster = str(data_dir.resolve() / "postgres" / "cluster")
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and cluster in process.cmdline():
                found.append(process.pid)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


async def test_a_killed_database_comes_back_with_what_it_had(postgres: EmbeddedPostgres) -> None:
    await ask(postgres.url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS number")
    for _ in range(2):
        killed = kill(postgres)
        assert await ask(postgres.url, "SELECT number FROM kept") == 7
        assert postgres.postmaster_pid() not in (None, killed)


async def test_a_killed_backend_does_no_more_harm(postgres: EmbeddedPostgres) -> None:
    postmaster = postgres.postmaster_pid()
    connection = await connect(postgres.url)
    os.kill(connection.get_server_pid(), signal.SIGKILL)
    with pytest.raises(AWAY):
        await connection.fetchval("SELECT 1")
    assert await ask(postgres.url, "SELECT 8") == 8
    assert postgres.postmaster_pid() == postmaster


async def test_a_second_server_is_refused_while_the_first_runs(
    data_dir: Path, postgres: EmbeddedPostgres
) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError, match="Another server uses") as caught:
            async with EmbeddedPostgres(data_dir):
                raise AssertionError
        assert caught.value.reason == "DATA_DIR_IN_USE"
    assert await ask(postgres.url, "SELECT 1") == 1


async def test_a_stop_right_after_a_kill_does_not_hang(data_dir: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), EmbeddedPostgres(data_dir) as postgres:
        kill(postgres)
    assert postgres.postmaster_pid() is None
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.url, "SELECT 2") == 2


async def test_a_stop_while_it_is_started_again_leaves_nothing_running(data_dir: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), EmbeddedPostgres(data_dir) as postgres:
        killed = kill(postgres)
        pid_file = data_dir / "postgres" / "cluster" / "postmaster.pid"
        while f"{killed}\n" in _read(pid_file):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert postmasters(data_dir) == []


async def test_a_server_that_was_killed_finds_its_database_again(data_dir: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from bartizan.server.store.embedded import EmbeddedPostgres\n"
        "async def main():\n"
        "    async with EmbeddedPostgres(Path(sys.argv[1])) as postgres:\n"
        "        print(postgres.postmaster_pid(), flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    left = int((await server.stdout.readline()).decode())
    server.kill()
    await server.wait()
    async with EmbeddedPostgres(data_dir) as postgres:
        assert postgres.postmaster_pid() == left
        assert await ask(postgres.url, "SELECT 3") == 3
    assert postmasters(data_dir) == []


async def test_a_number_that_is_somebody_elses_now_is_left_alone(data_dir: Path) -> None:
    """After a restart of the machine the number of the postmaster can be any process's."""
    async with EmbeddedPostgres(data_dir):
        pass
    cluster = data_dir / "postgres" / "cluster"
    owner = cluster.stat()
    stranger = subprocess.Popen(  # noqa: ASYNC220
        ["cat"],
        stdin=subprocess.PIPE,
        user=owner.st_uid if os.geteuid() == 0 else None,
    )
    run = data_dir / "postgres" / "run"
    locked = f"{stranger.pid}\n{cluster}\n1700000000\n5432\n{run}\n"
    for lock in (cluster / "postmaster.pid", run / ".s.PGSQL.5432.lock"):
        lock.write_text(f"{locked}\n  1 2\nready   \n")
    try:
        postgres = EmbeddedPostgres(data_dir)
        assert postgres.postmaster_pid() is None
        async with asyncio.timeout(DEADLINE_S), postgres:
            assert await ask(postgres.url, "SELECT 4") == 4
        assert stranger.poll() is None
    finally:
        stranger.communicate()


async def test_a_cluster_cut_short_is_made_anew_and_a_deep_folder_will_do() -> None:
    with tempfile.TemporaryDirectory(prefix="bartizan-embedded-") as folder:
        data_dir = Path(folder) / ("d" * SOCKET_PATH_LIMIT) / "data"
        aside = data_dir / "postgres" / "cluster.new"
        aside.mkdir(parents=True)
        (aside / "PG_VERSION").write_text("18\n")
        async with asyncio.timeout(2 * DEADLINE_S), EmbeddedPostgres(data_dir) as postgres:
            socket_dir = Path(postgres.url.partition("host=")[2])
            assert data_dir not in socket_dir.parents
            assert len(os.fsencode(socket_dir)) < SOCKET_PATH_LIMIT
            assert await ask(postgres.url, "SELECT 5") == 5
            assert not aside.exists()
        # The same folder gives the same socket, or a killed server would not find its database.
        assert EmbeddedPostgres(data_dir).url == postgres.url
        assert postmasters(data_dir) == []
        os.rmdir(socket_dir)


async def test_rows_never_come_into_its_log(postgres: EmbeddedPostgres) -> None:
    connection = await connect(postgres.url)
    secret = "what the customer wrote"
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "CREATE TEMPORARY TABLE t (x text UNIQUE);"
            f" INSERT INTO t VALUES ('{secret}'), ('{secret}')"
        )
    with pytest.raises(asyncpg.PostgresError):
        await connection.execute("SELECT $1::int / 0", secret)
    await connection.close()
    assert secret not in postgres.log_file.read_text()


async def test_why_a_database_cannot_be_made_is_told(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(data_dir, ignore_errors=True)
    tools = data_dir / "postgres" / "bin"
    tools.mkdir(parents=True, mode=0o755)
    (tools / "initdb").write_text("#!/bin/sh\necho 'initdb: no space left' >&2\nexit 1\n")
    (tools / "initdb").chmod(0o755)
    monkeypatch.setattr("bartizan.server.store.embedded._binaries", lambda: tools)
    with pytest.raises(ConfigError, match="initdb: no space left"):
        async with EmbeddedPostgres(data_dir):
            pass


async def test_a_start_that_is_cancelled_leaves_nothing_running(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    starting = asyncio.create_task(postgres.__aenter__())
    while not (data_dir / "postgres").exists():  # noqa: ASYNC110
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert postgres.postmaster_pid() is None
    async with EmbeddedPostgres(data_dir) as again:
        assert again.postmaster_pid() is not None


def test_a_lock_by_a_strangers_number_still_names_the_shared_memory(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    lock = tmp_path / "postgres" / "cluster" / "postmaster.pid"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{os.getpid()}\n/data\n1700000000\n5432\n/run\n\n  1234567   42\n")
    postgres._forget_strangers()
    assert lock.read_text() == f"{NOBODY}\n/data\n1700000000\n5432\n/run\n\n  1234567   42\n"
