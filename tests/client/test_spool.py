"""What is spooled outlives its process, within bounds, whatever becomes of the disk."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.client.delivering import (
    PROMPT,
    WAIT_S,
    Note,
    balance,
    delivery,
    feedback,
    free_place,
    numbers,
    place,
)

from bartizan.client._delivery.delivery import Delivery, Sending
from bartizan.client._delivery.spool_file import Lease, SpoolFile, lease_of

ROOT = Path(__file__).parents[2]


def until_stored(one: Delivery, spans: int) -> None:
    """Waits until the server has taken so many."""
    changed = one._engine.store.changed
    with changed:
        assert changed.wait_for(lambda: one.stats.stored >= spans, WAIT_S)


def leave_behind(folder: Path, first: int, count: int) -> None:
    """Leaves what a process leaves that had no server and is gone."""
    with delivery(free_place(), PROMPT, spool=folder) as one:
        for number in range(first, first + count):
            one.put(Note(number))
        assert one.stats.spooled >= count


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_what_is_spooled_arrives_and_leaves_nothing(tmp_path: Path) -> None:
    with place() as there, delivery(there, PROMPT, spool=tmp_path / "a" / "b") as one:
        for number in range(1_000):
            one.put(Note(number))
        one.put(feedback(1))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(1_000))
        assert (one.stats.stored, one.stats.spooled, balance(one.stats)) == (1_001, 0, 0)
        assert one.shutdown(WAIT_S)
    assert files(tmp_path / "a" / "b") == []


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    leave_behind(folder, 0, 1)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_next_process_sends_what_the_last_one_left(tmp_path: Path) -> None:
    with delivery(free_place(), PROMPT, spool=tmp_path) as other:
        for number in range(100):
            other.put(Note(number))
        leave_behind(tmp_path, 100, 100)
    assert files(tmp_path) == [".db", ".db", ".lease", ".lease"]
    with place() as there, delivery(there, PROMPT, spool=tmp_path) as one:
        one.put(Note(200))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(201))
        assert (one.stats.recorded, balance(one.stats)) == (201, 0)
        assert one.shutdown(WAIT_S)
    assert files(tmp_path) == []


def test_what_was_left_is_sent_even_if_nothing_new_comes(tmp_path: Path) -> None:
    leave_behind(tmp_path, 0, 10)
    with place() as there, delivery(there, PROMPT, spool=tmp_path) as one:
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(10))


def test_two_at_once_do_not_disturb_one_another(tmp_path: Path) -> None:
    with (
        place() as there,
        delivery(there, PROMPT, spool=tmp_path) as one,
        delivery(there, PROMPT, spool=tmp_path) as two,
    ):
        for number in range(500):
            one.put(Note(number))
            two.put(Note(500 + number))
        assert one.flush(WAIT_S)
        assert two.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(1_000))
        assert [each.stats.stored for each in (one, two)] == [500, 500]


def test_a_file_whose_owner_lives_is_left_alone(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.client.delivering import *\n"
        "with delivery('127.0.0.1:1', PROMPT, spool=sys.argv[1]) as one:\n"
        "    one.put(Note(1)); print('there', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with other, place() as there:
        assert other.stdout
        assert other.stdout.readline() == "there\n"
        with delivery(there, PROMPT, spool=tmp_path) as one:
            one.put(Note(2))
            assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [2]
        other.kill()
        other.wait()
        with delivery(there, PROMPT, spool=tmp_path) as one:
            assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [1, 2]


def test_a_lease_is_held_by_one_and_ends_with_it(tmp_path: Path) -> None:
    path = str(tmp_path / "one.lease")
    lease = Lease(path)
    with pytest.raises(sqlite3.OperationalError):
        Lease(path)
    lease.end(remove=False)
    again = Lease(path)
    again.end(remove=True)
    assert not os.path.exists(path)


@pytest.mark.parametrize("when_full", ["drop_newest", "drop_oldest"])
def test_keeps_its_bounds(tmp_path: Path, when_full: str) -> None:
    size = len(Note(0).encode())
    sending = Sending(spool_bytes=50 * size, when_full=when_full, linger_s=3_600)
    with place() as there, delivery(there, sending, spool=tmp_path) as one:
        for number in range(120):
            one.put(Note(number))
            assert one.stats.spooled <= 50
        assert one.stats.dropped == {"spool_full": 70}
        assert balance(one.stats) == 0
        assert one.flush(WAIT_S)
        first = 0 if when_full == "drop_newest" else 70
        assert numbers(there.ingest) == list(range(first, first + 50))


@pytest.mark.parametrize("when_full", ["drop_newest", "drop_oldest"])
def test_goes_on_after_it_was_full(tmp_path: Path, when_full: str) -> None:
    size = len(Note(0).encode())
    sending = Sending(batch_spans=1, spool_bytes=20 * size, when_full=when_full, linger_s=0.01)
    with place() as there, delivery(there, sending, spool=tmp_path) as one:
        there.ingest.gate.clear()
        for number in range(60):
            one.put(Note(number))
        there.ingest.gate.set()
        until_stored(one, 20)
        one.put(Note(1_000))
        until_stored(one, 21)
        assert one.stats.dropped == {"spool_full": 40}
        assert (one.stats.queued, balance(one.stats)) == (0, 0)


def test_a_place_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with place() as there, delivery(there, PROMPT, spool=tmp_path / "file" / "spool") as one:
        for number in range(10):
            one.put(Note(number))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(10))
        assert "not a directory" in one.stats.last_error
    assert len(caplog.records) == 1


def test_a_full_disk_costs_a_warning_and_no_span(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from tests.client.delivering import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with place() as there, delivery(there, Sending(linger_s=3600), spool=sys.argv[1]) as one:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    for number in range(1_000):
        one.put(Note(number, "x" * 1_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    spooled = one.stats.spooled
    assert 0 < spooled < 1_000, spooled
    assert "kept in memory" in one.stats.last_error, one.stats
    assert one.flush(WAIT_S)
    assert numbers(there.ingest) == list(range(1_000))
    assert balance(one.stats) == 0
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("bartizan: the spool") == 1


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    leave_behind(tmp_path, 0, 10)
    (data,) = tmp_path.glob("*.db")
    data.write_bytes(b"no database, but long enough to be looked at" * 200)
    with place() as there, delivery(there, PROMPT, spool=tmp_path) as one:
        one.put(Note(100))
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [100]
        assert one.stats.dropped == {"spool_corrupt": 1}
        assert balance(one.stats) == 0
        assert one.shutdown(WAIT_S)
    assert files(tmp_path) == [".corrupt"]
    assert ".corrupt" in caplog.text


def test_a_file_that_goes_bad_while_it_is_used_is_set_aside(tmp_path: Path) -> None:
    sending = Sending(linger_s=3_600, batch_spans=9_000, batch_bytes=2**30)
    with place() as there, delivery(there, sending, spool=tmp_path) as one:
        for number in range(5_000):
            one.put(Note(number, "x" * 1_000))
        spool = one._engine.store.spool
        assert spool is not None
        assert spool.own is not None
        spool.own.file._reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        path = Path(spool.own.file.path)
        bytes_ = bytearray(path.read_bytes())
        bytes_[4_096:] = os.urandom(len(bytes_) - 4_096)
        path.write_bytes(bytes_)
        spool.own.file._reader.execute("PRAGMA shrink_memory")
        spool.own.file._writer.execute("PRAGMA shrink_memory")
        assert one.flush(WAIT_S)
        one.put(Note(9_999))
        assert one.flush(WAIT_S)
        assert 9_999 in numbers(there.ingest)
        assert one.stats.dropped["spool_corrupt"] > 0
        assert balance(one.stats) == 0


def test_a_backlog_is_not_loaded_into_memory(tmp_path: Path) -> None:
    sending = Sending(batch_spans=10, linger_s=0.01)
    with place() as there, delivery(there, sending, spool=tmp_path) as one:
        there.ingest.gate.clear()
        for number in range(1_000):
            one.put(Note(number))
        assert not one.flush(0.2)
        spool = one._engine.store.spool
        assert spool is not None
        assert spool.own is not None
        assert 1_000 - spool.own.waiting <= 10 * 17
        there.ingest.gate.set()
        assert one.flush(WAIT_S)
        assert numbers(there.ingest) == list(range(1_000))


def test_a_large_file_gives_its_space_back(tmp_path: Path) -> None:
    path = str(tmp_path / "spool-1.db")
    file = SpoolFile(path, Lease(lease_of(path)), create=True)
    for key in range(1, 6_000):
        file.append(key, 0, 1, bytes(4_000))
    assert os.path.getsize(path + "-wal") > 20_000_000
    file.tend()
    grown = os.path.getsize(path)
    file.delete(range(1, 6_000))
    file.tend()
    file.tend()
    assert os.path.getsize(path) < grown
    file.close(remove=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", range(3))
def test_a_killed_process_loses_nothing_that_was_put(tmp_path: Path, moment: int) -> None:
    script = """
import sys
from tests.client.delivering import *
made = delivery(sys.argv[1], PROMPT, spool=sys.argv[2])
one = made.__enter__()
for number in range(10**6):
    one.put(Note(int(sys.argv[3]) + number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""
    with place() as there:
        promised = []
        for life in range(2):
            first = life * 10**7
            with subprocess.Popen(
                [sys.executable, "-c", script, there.endpoint, str(tmp_path), str(first)],
                cwd=ROOT, text=True, stdout=subprocess.PIPE,
            ) as process:  # fmt: skip
                assert process.stdout
                for line in process.stdout:
                    promised.append(first + int(line))
                    if int(line) == 300 * (1 + 4 * moment):
                        process.kill()
        with delivery(there, PROMPT, spool=tmp_path) as one:
            assert one.flush(WAIT_S)
            assert one.shutdown(WAIT_S)
        arrived = numbers(there.ingest)
        assert set(promised) <= set(arrived)
        assert len(arrived) - len(promised) <= 2
    assert files(tmp_path) == []


def test_putting_takes_no_longer_while_the_server_is_away(tmp_path: Path) -> None:
    with delivery(free_place(), PROMPT, spool=tmp_path) as one:
        begun = time.monotonic()
        for number in range(2_000):
            one.put(Note(number))
        # Not a measurement: it would take minutes if a put waited for the server.
        assert time.monotonic() - begun < WAIT_S
        assert one.stats.spooled == 2_000
