"""Forks, children of multiprocessing and the end of the interpreter: nothing hangs or doubles."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.client.delivering import PROMPT, WAIT_S, delivery, numbers, place

from bartizan.client._delivery import process

ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

BEGIN = """
import os, sys, threading, time
from tests.client.delivering import *
from bartizan.client._delivery.delivery import Delivery
from bartizan.client._calls.channel import resolve

def make(sending=PROMPT, spool=None):
    target = resolve(KEY, sys.argv[1], None)
    return Delivery(target, sending, spool=spool, backoff=QUICK, debug=False)
"""


def run(script: str, *arguments: str) -> str:
    """Runs a program that sends, in a process of its own; returns what it says."""
    ran = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", BEGIN + textwrap.dedent(script),
         *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.stdout


@needs_fork
def test_a_child_begins_empty_and_sends_its_own() -> None:
    with place() as there:
        run(
            """
            one = make(Sending(linger_s=3600))
            one.put(Note(1))
            if os.fork() == 0:
                assert one.stats.recorded == 0
                one.put(Note(2))
                os._exit(0 if one.flush(WAIT_S) and one.stats.stored == 1 else 1)
            assert os.wait()[1] == 0
            assert one.flush(WAIT_S) and one.stats.stored == 1, one.stats
            """,
            there.endpoint,
        )
        assert numbers(there.ingest) == [1, 2]


@needs_fork
def test_many_forks_while_much_is_sent() -> None:
    with place() as there:
        said = run(
            """
            one = make(Sending(queue_spans=10**6))
            stop = threading.Event()
            count = 0
            def work():
                global count
                while not stop.is_set():
                    one.put(Note(10**6 + count))
                    count += 1
                    if count % 100 == 0:
                        stop.wait(0.001)
            thread = threading.Thread(target=work)
            thread.start()
            assert one.flush(WAIT_S)
            for child in range(15):
                if os.fork() == 0:
                    one.put(Note(child))
                    os._exit(0 if one.flush(WAIT_S) else 1)
                assert os.wait()[1] == 0
            stop.set()
            thread.join()
            assert one.flush(WAIT_S)
            assert one.shutdown(WAIT_S)
            assert balance(one.stats) == 0 and not one.stats.dropped, one.stats
            print(count)
            """,
            there.endpoint,
        )
        wanted = [*range(15), *range(10**6, 10**6 + int(said))]
        assert numbers(there.ingest) == wanted


@needs_fork
def test_a_fork_of_a_closed_delivery_is_closed() -> None:
    with place() as there:
        run(
            """
            one = make()
            one.shutdown(1)
            if os.fork() == 0:
                one.put(Note(1))
                os._exit(0 if one.flush(1) and one.stats.dropped == {"closed": 1} else 1)
            assert os.wait()[1] == 0
            """,
            there.endpoint,
        )


@needs_fork
def test_a_child_has_a_spool_file_of_its_own_and_leaves_its_parents_alone(tmp_path: Path) -> None:
    with place() as there:
        run(
            """
            one = make(Sending(linger_s=3600), sys.argv[2])
            one.put(Note(1))
            if os.fork() == 0:
                one.put(Note(2))
                if len([name for name in os.listdir(sys.argv[2]) if name.endswith(".db")]) != 2:
                    os._exit(1)
                os._exit(0 if one.flush(WAIT_S) and one.stats.stored == 1 else 2)
            assert os.wait()[1] == 0
            assert one.shutdown(WAIT_S) and one.stats.stored == 1, one.stats
            assert "spool" not in one.stats.last_error
            """,
            there.endpoint,
            str(tmp_path),
        )
        assert numbers(there.ingest) == [1, 2]
        with delivery(there, PROMPT, spool=tmp_path) as one:
            assert one.flush(WAIT_S)
            assert one.shutdown(WAIT_S)
        assert list(tmp_path.iterdir()) == []


@needs_fork
def test_a_child_that_ends_in_good_order_harms_nothing_of_its_parents(tmp_path: Path) -> None:
    with place() as there:
        run(
            """
            one = make(PROMPT, sys.argv[2])
            for number in range(10):
                one.put(Note(number))
                child = os.fork()
                if child == 0:
                    one.put(Note(100 + number))
                    sys.exit(0)
                one.put(Note(200 + number))
                assert os.waitpid(child, 0)[1] == 0
            assert one.flush(WAIT_S)
            assert not one.stats.dropped and not one.stats.last_error, one.stats
            """,
            there.endpoint,
            str(tmp_path),
        )
        wanted = [first + number for first in (0, 100, 200) for number in range(10)]
        assert numbers(there.ingest) == wanted
    assert list(tmp_path.iterdir()) == []


@needs_fork
def test_what_a_child_spools_survives_its_sudden_end(tmp_path: Path) -> None:
    with place() as there:
        run(
            """
            one = make(Sending(linger_s=3600), sys.argv[2])
            one.put(Note(1))
            if os.fork() == 0:
                one.put(Note(2))
                os._exit(0)
            os.wait()
            """,
            there.endpoint,
            str(tmp_path),
        )
        with delivery(there, PROMPT, spool=tmp_path) as one:
            assert one.flush(WAIT_S)
        assert numbers(there.ingest) == [1, 2]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_send_what_they_have(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        BEGIN
        + textwrap.dedent("""
        import multiprocessing
        one = make(Sending(linger_s=3600))
        def work(number):
            one.put(Note(number))
        if __name__ == "__main__":
            one.put(Note(100))
            context = multiprocessing.get_context(sys.argv[2])
            children = [context.Process(target=work, args=(n,)) for n in range(4)]
            for child in children:
                child.start()
            for child in children:
                child.join()
            assert not any(child.exitcode for child in children)
        """)
    )
    with place() as there:
        ran = subprocess.run(
            [sys.executable, str(program), there.endpoint, method], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=100,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert numbers(there.ingest) == [0, 1, 2, 3, 100]


def test_a_program_that_ends_at_once_sends_what_it_has() -> None:
    with place() as there:
        run("one = make(Sending(linger_s=3600)); one.put(Note(1))", there.endpoint)
        assert numbers(there.ingest) == [1]


def test_what_is_put_while_the_interpreter_ends_neither_raises_nor_hangs() -> None:
    with place() as there:
        said = run(
            """
            import atexit
            class Late:
                def __del__(self):
                    one.put(Note(3))
            def last():
                one.put(Note(2))
                print(one.stats.dropped)
            from bartizan.client._delivery import process
            atexit.unregister(process._leave)
            atexit.register(last)
            atexit.register(process._leave)
            one = make(Sending(linger_s=3600))
            one.late = Late()
            one.put(Note(1))
            threading.Thread(target=lambda: (time.sleep(0.05), one.put(Note(4)))).start()
            """,
            there.endpoint,
        )
        assert said == "{'closed': 1}\n"
        assert numbers(there.ingest) == [1, 4]


def test_the_end_is_bounded_when_the_server_does_not_answer() -> None:
    with place() as there:
        there.ingest.gate.clear()
        run(
            """
            one = make(Sending(linger_s=0.01, exit_timeout_s=0.3))
            one.put(Note(1))
            """,
            there.endpoint,
        )
        there.ingest.gate.set()


def test_a_process_without_multiprocessing_has_nothing_to_register(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "multiprocessing.process", raising=False)
    process.flush_in_child()
