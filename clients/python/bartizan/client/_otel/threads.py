"""Carries the current span into threads.

Only that: other context variables stay behind, as the application expects of its threads.
"""

from __future__ import annotations

import functools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from bartizan.client._recording import context as recording

if TYPE_CHECKING:
    from concurrent.futures import Future

R = TypeVar("R")


def patch() -> Callable[[], None]:
    """Patches threads and thread pools, and returns what undoes it."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    @functools.wraps(start)
    def carrying_start(thread: threading.Thread) -> None:
        thread.__dict__["run"] = _once(thread)
        try:
            start(thread)
        except BaseException:
            thread.__dict__.pop("run", None)
            raise

    @functools.wraps(submit)  # type: ignore[arg-type]
    def carrying_submit(
        pool: ThreadPoolExecutor, function: Callable[..., R], /, *args: Any, **kwargs: Any
    ) -> Future[R]:
        # In an empty context: a worker that starts now must not keep the span for later work.
        return Context().run(submit, pool, carrying(function), *args, **kwargs)

    def unpatch() -> None:
        # What others have patched meanwhile is left to them.
        if threading.Thread.start is carrying_start:
            threading.Thread.start = start  # type: ignore[method-assign]
        if ThreadPoolExecutor.submit is carrying_submit:
            ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]

    threading.Thread.start = carrying_start  # type: ignore[method-assign,assignment]
    ThreadPoolExecutor.submit = carrying_submit  # type: ignore[method-assign,assignment]
    return unpatch


def carrying(function: Callable[..., R]) -> Callable[..., R]:
    """Returns a function that runs, wherever it is called, inside the span that is current now."""
    held = ((variable, variable.get(None)) for variable in _variables())
    carried = [(variable, value) for variable, value in held if value is not None]
    if not carried:
        return function

    def run(*args: Any, **kwargs: Any) -> R:
        tokens = [(variable, variable.set(value)) for variable, value in carried]
        try:
            return function(*args, **kwargs)
        finally:
            for variable, token in tokens:
                recording.restore(variable, token)

    return run


def _once(thread: threading.Thread) -> Callable[[], None]:
    run = carrying(thread.run)

    def once() -> None:
        # The thread held itself by this function.
        thread.__dict__.pop("run", None)
        run()

    return once


def _variables() -> tuple[ContextVar[Any], ...]:
    ours = (recording.current, recording.scope)
    if "opentelemetry.context" not in sys.modules:
        return ours
    from opentelemetry import context

    token = context.attach(context.get_current())
    context.detach(token)
    return (*ours, token.var)
