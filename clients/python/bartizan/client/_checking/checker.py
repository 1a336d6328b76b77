"""Asking for verdicts, and functions that are guarded by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Callable, TypeVar, overload

from bartizan.client._checking.checked import ALLOW, DENY, Checked, denied
from bartizan.client._checking.guard import Guard

if TYPE_CHECKING:
    from bartizan.client._calls.api import Api
    from bartizan.v1 import guardrail_pb2

F = TypeVar("F", bound=Callable[..., Any])

CHECK_TIMEOUT_S = 2.0
"""Somebody waits: long enough for every rule that runs inline, and no longer."""
RAISE = "raise"


class Checker:
    """Asks a server what its rules say, before anybody acts. Nothing is stored there.

    Args:
        api: the connection.
        context: agent and environment of texts that do not say otherwise.
    """

    def __init__(self, api: Api, context: dict[str, str]) -> None:
        self._api = api
        self._context = context

    def check(
        self,
        value: Any,
        *,
        role: str = "user",
        agent: str = "",
        environment: str = "",
        model: str = "",
        rules: Iterable[str] = (),
        timeout_s: float = CHECK_TIMEOUT_S,
        on_error: str = RAISE,
    ) -> Checked:
        """Returns what the rules in force say about a text, or about a list of messages.

        Args:
            role: whose the text is: system, user, assistant, tool_call, tool_result, retrieved.
            agent: where it is seen, likewise environment and model. Rules that ask for what is not
                known apply.
            rules: ids of the rules to ask; all of them when empty.
            timeout_s: the whole budget, in seconds: rules that need longer follow their on_timeout.
            on_error: what to say when the server does not answer: "raise", "allow" or "deny".

        Raises:
            InvalidArgument: there is no such role or rule.
            BartizanError: the server did not answer, with on_error "raise".
        """
        import grpc

        from bartizan.client._calls.errors import from_rpc
        from bartizan.client._checking.messages import answer, request

        asked = request(value, role, self._where(agent, environment, model), rules)
        call, metadata = self._api.guardrail("Check")
        try:
            said = call(asked, metadata=metadata, timeout=timeout_s)
        except grpc.RpcError as error:
            return _without_answer(asked, from_rpc(error), on_error)
        return answer(asked.messages, said)

    async def acheck(
        self,
        value: Any,
        *,
        role: str = "user",
        agent: str = "",
        environment: str = "",
        model: str = "",
        rules: Iterable[str] = (),
        timeout_s: float = CHECK_TIMEOUT_S,
        on_error: str = RAISE,
    ) -> Checked:
        """Does what `check` does without blocking the event loop."""
        import grpc

        from bartizan.client._calls.errors import from_rpc
        from bartizan.client._checking.awaiting import result_of
        from bartizan.client._checking.messages import answer, request

        asked = request(value, role, self._where(agent, environment, model), rules)
        call, metadata = self._api.guardrail("Check")
        try:
            said = await result_of(call.future(asked, metadata=metadata, timeout=timeout_s))
        except grpc.RpcError as error:
            return _without_answer(asked, from_rpc(error), on_error)
        return answer(asked.messages, said)

    def check_stream(
        self,
        chunks: Iterable[str],
        *,
        role: str = "assistant",
        agent: str = "",
        environment: str = "",
        model: str = "",
        rules: Iterable[str] = (),
        hold_back: int = 0,
    ) -> Iterator[str]:
        """Yields a streamed text as it may be shown, redacted, a little behind its chunks.

        What is found is found wherever the chunks are cut. hold_back is how many characters stay
        back until what follows them is known: 32 to 4,096, 128 when 0.

        Raises:
            Denied: a rule denies; what was yielded before may have to be taken back.
            BartizanError: the server did not answer.
        """
        import grpc

        from bartizan.client._calls.errors import from_rpc
        from bartizan.client._checking.messages import role_number
        from bartizan.v1 import guardrail_pb2

        opening = guardrail_pb2.CheckStreamOpen(
            role=role_number(role),
            context=guardrail_pb2.CheckContext(**self._where(agent, environment, model)),
            rules=rules,
            hold_back=hold_back,
        )
        stream, metadata = self._api.guardrail("CheckStream")
        call = stream(_requests(opening, chunks), metadata=metadata)
        try:
            yield from _released(call)
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    @overload
    def guard(self, function: F) -> F: ...

    @overload
    def guard(
        self, *, input: str | None = None, output: bool = True, **options: Any
    ) -> Callable[[F], F]: ...

    def guard(
        self,
        function: Any = None,
        *,
        input: str | None = None,
        output: bool = True,
        **options: Any,
    ) -> Any:
        """Guards a function: what goes in and what comes out is checked, and redacted as rules say.

        Works for functions, coroutines, and generators of texts. The function raises Denied when a
        rule denies, and what `check` raises.

        Args:
            function: is guarded.
            input: the parameter that is checked, if it is a text; the first one when None, nothing
                when empty.
            output: whether a text that is returned, or texts that are yielded, are checked.
            options: those of `check` for the input; the output has the role assistant.

        Raises:
            TypeError: the function is an asynchronous generator, or has no such parameter.
        """
        guard = Guard(self, input, output, options)
        return guard.apply if function is None else guard.apply(function)

    def _where(self, agent: str, environment: str, model: str) -> dict[str, str]:
        given = {"agent": agent, "environment": environment, "model": model}
        return {**self._context, **{key: value for key, value in given.items() if value}}


def _without_answer(asked: guardrail_pb2.CheckRequest, error: Exception, on_error: str) -> Checked:
    if on_error not in (ALLOW, DENY):
        raise error
    return Checked(on_error, tuple(one.content for one in asked.messages), complete=False)


def _requests(
    opening: guardrail_pb2.CheckStreamOpen, chunks: Iterable[str]
) -> Iterator[guardrail_pb2.CheckStreamRequest]:
    from bartizan.v1 import guardrail_pb2

    yield guardrail_pb2.CheckStreamRequest(open=opening)
    for chunk in chunks:
        if chunk:
            yield guardrail_pb2.CheckStreamRequest(chunk=chunk)


def _released(responses: Iterable[guardrail_pb2.CheckStreamResponse]) -> Iterator[str]:
    from bartizan.v1 import common_pb2

    findings: list[common_pb2.Finding] = []
    for response in responses:
        findings.extend(response.findings)
        if response.text:
            yield response.text
        if response.HasField("end") and response.end.verdict == common_pb2.VERDICT_DENY:
            raise denied("output", findings)
