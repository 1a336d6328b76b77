"""What happens to every call at every door: admitted, counted, and its error made presentable."""

import asyncio
import re
from collections.abc import Callable, Mapping
from time import perf_counter

from bartizan.plugins.errors import BartizanError, Overloaded, PermissionDenied, Unavailable
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Authenticator, Call, Principal, Scope
from bartizan.server.rpc.methods import Method
from bartizan.server.rpc.status import known

REQUEST_ID = "x-request-id"

MAX_OPEN_CALLS = 10_000
"""Calls open at once in one process, streams included. An idle stream costs about 20 KB."""

_REQUEST_ID_FORM = re.compile(r"[!-~]{1,128}")


class Gate:
    """Admits calls. One gate serves all doors of a process, so its limits hold for all of them."""

    def __init__(
        self,
        authenticator: Authenticator,
        metrics: Metrics,
        *,
        max_open_calls: int = MAX_OPEN_CALLS,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.authenticator = authenticator
        self.metrics = metrics
        self.max_open_calls = max_open_calls
        self.clock = clock
        self.open_calls = 0

    def visit(self, method: Method, metadata: Mapping[str, str]) -> "Visit":
        """Begins a call; each visit must `leave` once."""
        return Visit(self, method, metadata)


class Visit:
    """One call from its first byte to its status.

    Attributes:
        trailers: what the answer carries beside its messages, also when it is an error.
    """

    def __init__(self, gate: Gate, method: Method, metadata: Mapping[str, str]) -> None:
        self.trailers = _echo(metadata)
        self._gate = gate
        self._method = method
        self._metadata = metadata
        self._started = gate.clock()
        gate.open_calls += 1
        self._count_stream(1)

    async def admit(self) -> Call:
        """Returns the call; raises Overloaded, Unauthenticated, PermissionDenied, Unavailable."""
        if self._gate.open_calls > self._gate.max_open_calls:
            raise Overloaded(
                "TOO_MANY_CALLS",
                f"the server has {self._gate.max_open_calls} calls open; try again",
                metadata={"limit": str(self._gate.max_open_calls)},
            )
        principal = await self._gate.authenticator.authenticate(self._metadata)
        _check_scope(principal, self._method.scope)
        return Call(self._method.name, principal, self._metadata, trailers=self.trailers)

    def leave(self, error: BaseException | None = None) -> BartizanError | None:
        """Ends the call and returns what its caller may see of the error.

        None means that there is none, or that the call was cancelled and nobody looks.
        """
        refusal = known(error, self._method.name) if isinstance(error, Exception) else None
        self._gate.open_calls -= 1
        self._count_stream(-1)
        self._measure(_outcome(error, refusal))
        return refusal

    def _measure(self, code: str) -> None:
        seconds = self._gate.clock() - self._started
        metrics, name = self._gate.metrics, self._method.name
        metrics.rpc_requests.labels(name, code).inc()
        metrics.rpc_seconds.labels(name).observe(seconds)

    def _count_stream(self, step: int) -> None:
        if self._method.client_streaming or self._method.server_streaming:
            self._gate.metrics.streams_open.labels(self._method.name).inc(step)


def told_apart(error: BaseException) -> BaseException:
    """Returns Unavailable in place of a cancellation that did not come from the caller.

    It is work inside the server that was given up, at a shutdown mostly. Nobody has ended the call,
    so its caller waits for an answer.
    """
    task = asyncio.current_task()
    if not isinstance(error, asyncio.CancelledError) or task is None or task.cancelling():
        return error
    return Unavailable("WORK_CANCELLED", "the server gave this work up; try again")


def _echo(metadata: Mapping[str, str]) -> dict[str, str]:
    request_id = metadata.get(REQUEST_ID, "")
    return {REQUEST_ID: request_id} if _REQUEST_ID_FORM.fullmatch(request_id) else {}


def _check_scope(principal: Principal, scope: int | None) -> None:
    if scope is None or scope in principal.scopes:
        return
    name = Scope.Name(scope).removeprefix("SCOPE_").lower()  # type: ignore[arg-type]
    raise PermissionDenied(
        "MISSING_SCOPE", f"this needs a key with the scope {name}", metadata={"scope": name}
    )


def _outcome(error: BaseException | None, refusal: BartizanError | None) -> str:
    if refusal is not None:
        return refusal.code.value
    if error is None:
        return "ok"
    return "cancelled" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "internal"
