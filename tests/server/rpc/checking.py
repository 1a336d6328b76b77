"""GuardrailService behind both doors, with rules over plain expressions."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from prometheus_client import CollectorRegistry
from tests.server.checking.streaming import ChainRules, Expression
from tests.server.rpc.doors import channel

from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.errors import Unauthenticated
from bartizan.server.ingest.quota import Quotas
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Principal, Scope
from bartizan.server.rpc.connect_door import ConnectDoor
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.server.rpc.guardrails import GuardrailService
from bartizan.v1 import common_pb2, guardrail_pb2, guardrail_pb2_grpc

Open = guardrail_pb2.CheckStreamOpen
Request = guardrail_pb2.CheckStreamRequest
Response = guardrail_pb2.CheckStreamResponse

RULES = """
rules:
  - {id: mail, plugin: x, action: redact}
  - {id: attack, plugin: x, action: block}
  - {id: watch, plugin: x, action: block, mode: shadow, where: {agents: [bot]}}
  - {id: slow, plugin: x, action: flag, on_timeout: deny, budget_ms: 600000,
     where: {roles: [tool_result]}}
"""


UNUSED: Any = None
"""What stands behind the methods for rules and findings."""


class Hanging:
    """Never answers."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.entered.set()
        await asyncio.Event().wait()
        return []

    async def aclose(self) -> None:
        return None


class Keys:
    """Knows keys of the form `project` or `project/quota`, which may check; "reader" may not."""

    def __init__(self) -> None:
        self.revoked = False

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        project, _, quota = metadata["x-api-key"].partition("/")
        scopes = {Scope.SCOPE_READ} if project == "reader" else {Scope.SCOPE_CHECK}
        number = 1 if project == "reader" else int(project)
        return Principal(1, number, 1, "acme", "p", frozenset(map(int, scopes)), int(quota or 0))

    def check(self, principal: Principal) -> None:
        if self.revoked:
            raise Unauthenticated("INVALID_KEY", "the API key has ended")


class House:
    """The service, its doors and its callers."""

    def __init__(self) -> None:
        self.slow = Hanging()
        self.rules = ChainRules(
            RULES,
            mail=Expression(r"\w+@\w+\.com", "test.mail"),
            attack=Expression("ignore all", "test.attack"),
            watch=Expression("odd", "test.odd"),
            slow=self.slow,
        )
        self.keys = Keys()
        self.now_ns = 1
        quotas = Quotas(lambda: self.now_ns)
        self.service = GuardrailService(
            lambda project_id: self.rules,
            quotas,
            UNUSED,
            UNUSED,
            UNUSED,
            check_key=self.keys.check,
        )
        self.gate = Gate(self.keys, Metrics(CollectorRegistry()))
        self.connect = ConnectDoor([self.service], self.gate)
        self.stub: Any = None

    async def check(
        self, *messages: common_pb2.Message, key: str = "1", within_s: float = 30, **options: Any
    ) -> guardrail_pb2.CheckResponse:
        request = guardrail_pb2.CheckRequest(messages=messages, **options)
        metadata = (("x-api-key", key),)
        answer: guardrail_pb2.CheckResponse = await self.stub.Check(
            request, metadata=metadata, timeout=within_s
        )
        return answer

    @asynccontextmanager
    async def stream(self, key: str = "1", **options: Any) -> AsyncIterator[Any]:
        call = self.stub.CheckStream(metadata=(("x-api-key", key),))
        await call.write(Request(open=Open(**options)))
        yield call
        call.cancel()


async def rest(call: Any) -> tuple[str, list[common_pb2.Finding], guardrail_pb2.CheckStreamEnd]:
    """Half-closes; returns the text and findings that still come, and the end."""
    await call.done_writing()
    text, findings, end = "", [], None
    while (response := await call.read()) is not grpc.aio.EOF:
        assert end is None
        text += response.text
        findings.extend(response.findings)
        end = response.end if response.HasField("end") else None
    assert end is not None
    return text, findings, end


@asynccontextmanager
async def served() -> AsyncIterator[House]:
    house = House()
    async with (
        serve_grpc([house.service], house.gate, host="127.0.0.1", port=0) as server,
        channel(server.port) as wire,
    ):
        house.stub = guardrail_pb2_grpc.GuardrailServiceStub(wire)
        yield house
