"""Which of several server processes a connection ends at."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
import psutil
from tests.support.serving import POLL_S, Serving

ALONE = (("grpc.use_local_subchannel_pool", 1),)
"""Channels of one program would share a connection otherwise."""
MAX_CONNECTIONS = 100
"""The kernel picks a process for each: that so many all miss one of two will not be seen."""
PATIENCE_S = 30.0


def clients_of(serving: Serving) -> dict[int, set[int]]:
    """Returns the clients' ports of the gRPC connections that each server process has open."""
    port = int(serving.grpc.rpartition(":")[2])
    return {
        pid: {
            connection.raddr.port
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
        }
        for pid in serving.workers()
    }


@contextmanager
def channel_to(serving: Serving, pid: int) -> Iterator[grpc.Channel]:
    """Gives a channel whose connection ends at one server process."""
    for _ in range(MAX_CONNECTIONS):
        before = clients_of(serving)[pid]
        channel = grpc.insecure_channel(serving.grpc, ALONE)
        try:
            grpc.channel_ready_future(channel).result(PATIENCE_S)
            if clients_of(serving)[pid] - before:
                yield channel
                return
        finally:
            channel.close()
    raise AssertionError("no connection came to that process")


def wait_for_workers(serving: Serving, count: int, without: int = 0) -> list[int]:
    """Waits until so many server processes run, none of them being `without`; returns them."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        # One that was just killed has no command line by which to know it.
        with suppress(psutil.ZombieProcess):
            pids = serving.workers()
            if len(pids) == count and without not in pids:
                return pids
        time.sleep(POLL_S)
    raise AssertionError(f"there are not {count} server processes")
