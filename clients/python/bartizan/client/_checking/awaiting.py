"""A call of gRPC's own threads, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


async def result_of(call: Any) -> Any:
    """Returns what a call answers; raises what it raises. A cancelled wait cancels the call."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: object) -> None:
        # The loop may have ended before its call did.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    call.add_done_callback(tell)
    try:
        await done.wait()
    except asyncio.CancelledError:
        call.cancel()
        raise
    return call.result()
