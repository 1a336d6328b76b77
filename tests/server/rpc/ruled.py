"""GuardrailService behind both doors on a real database, with rules of projects."""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.doors import Answer, ask, channel, grpc_details
from tests.server.rpc.doors_http import Site
from tests.support.ruling import add_project, opened_book

from bartizan.plugins.errors import Unauthenticated
from bartizan.server.ingest.quota import Quotas
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Principal, Scope
from bartizan.server.rpc.connect_door import ConnectDoor
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.server.rpc.guardrail_backtest import Backtests
from bartizan.server.rpc.guardrail_findings import FindingAdmin
from bartizan.server.rpc.guardrail_rules import RuleAdmin
from bartizan.server.rpc.guardrails import GuardrailService
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.keeping import RuleKeeper
from bartizan.server.store.paging import PageTokens
from bartizan.server.web import application
from bartizan.server.web_body import BodyMemory
from bartizan.server.web_otlp import OtlpDoor
from bartizan.server.web_serve import bind, serve_http
from bartizan.v1 import guardrail_pb2 as pb
from bartizan.v1 import guardrail_pb2_grpc

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GONE = "organizations/acme/projects/gone"
SERVICE = "/bartizan.v1.GuardrailService"
HOUSE = """
rules:
  - {id: house, plugin: words, config: {words: [bad]}}
  - {id: spare, plugin: words, mode: shadow, config: {words: [spare]}}
"""


class Keys:
    """Knows keys of the form `project` and `project/scope,scope`; all scopes without any."""

    def __init__(self) -> None:
        self.ids: dict[int, int] = {}

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        project, _, named = metadata["x-api-key"].partition("/")
        names = named.split(",") if named else ["read", "rules", "check"]
        scopes = frozenset(int(Scope.Value(f"SCOPE_{name.upper()}")) for name in names)
        number = int(project)
        return Principal(self.ids.get(number, 0), number, 1, "acme", f"p{number}", scopes)

    def check(self, principal: Principal) -> None:
        if principal.project_id < 0:
            raise Unauthenticated("INVALID_KEY", "the API key has ended")


class House:
    """The service, its doors and its callers."""

    def __init__(self, engine: AsyncEngine, book: RuleBook, project: int) -> None:
        self.engine, self.book, self.project = engine, book, project
        self.keys = Keys()
        self.keeper = RuleKeeper(engine, book, lambda: NOW)
        self.backtests = Backtests(engine, book, lambda: NOW)
        tokens = PageTokens(b"test")
        self.service = GuardrailService(
            book.of,
            Quotas(lambda: 1),
            RuleAdmin(engine, book, self.keeper, tokens),
            FindingAdmin(engine, tokens, lambda: NOW),
            self.backtests,
            check_key=self.keys.check,
        )
        self.registry = CollectorRegistry()
        self.gate = Gate(self.keys, Metrics(self.registry))
        self.stub: Any = None
        self.http = 0

    async def call(self, method: str, request: Any, key: str = "") -> Any:
        """Calls a method over gRPC with a key of the project, or another one."""
        metadata = (("x-api-key", key or str(self.project)),)
        return await getattr(self.stub, method)(request, metadata=metadata, timeout=60)

    def stream(self, method: str, request: Any) -> Any:
        """Opens a call whose answers stream."""
        return getattr(self.stub, method)(request, metadata=(("x-api-key", str(self.project)),))

    async def post(self, method: str, body: Any) -> Answer:
        """Calls a method over HTTP, with a body of JSON or of bytes."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content_type": "application/json", "x_api_key": str(self.project)}
        return await ask(self.http, "POST", f"{SERVICE}/{method}", sent, **headers)

    def name(self, rule: str = "", project: int = 0) -> str:
        """Returns the name of a rule, or of the project."""
        parent = f"organizations/acme/projects/p{project or self.project}"
        return f"{parent}/guardrailRules/{rule}" if rule else parent

    async def make_key(self) -> str:
        """Makes the key of the project a real one; returns its name."""
        query = (
            "INSERT INTO api_keys (project_id, slug, prefix, secret_sha256, scopes)"
            " VALUES (:project, 'ada', '', :digest, '{1}') RETURNING id"
        )
        values = {"project": self.project, "digest": secrets.token_bytes(32)}
        async with self.engine.begin() as connection:
            made = (await connection.execute(text(query), values)).scalar_one()
        self.keys.ids[self.project] = made
        return f"{self.name()}/apiKeys/ada"


def struct(document: Mapping[str, Any]) -> Struct:
    """Returns a document as it is sent."""
    return ParseDict(dict(document), Struct())


def rule(name: str = "mine", **document: Any) -> dict[str, Any]:
    """Returns a document."""
    return {"id": name, "plugin": "words"} | document


async def refused(call: Awaitable[Any]) -> tuple[str, str, str]:
    """Returns code, reason and field of the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    details = grpc_details(caught.value)
    field = details.bad_request.field_violations[0].field if details.bad_request else ""
    return caught.value.code().name, details.info.reason, field


@asynccontextmanager
async def served(engine: AsyncEngine, folder: Path) -> AsyncIterator[House]:
    """Serves the rules of a new project at both doors."""
    async with opened_book(engine, folder, HOUSE) as book:
        house = House(engine, book, await add_project(engine))
        site = Site()
        web = application(
            connect=ConnectDoor([house.service], house.gate),
            otlp=OtlpDoor(site.house.otlp, house.gate, BodyMemory()),
            ready=site.ready,
            registry=house.registry,
        )
        async with (
            serve_grpc([house.service], house.gate, host="127.0.0.1", port=0) as server,
            serve_http(web, bind("127.0.0.1", 0)) as running,
            channel(server.port) as wire,
        ):
            house.stub = guardrail_pb2_grpc.GuardrailServiceStub(wire)
            house.http = running.port
            yield house


async def create(house: House, document: Any = None, **options: Any) -> pb.GuardrailRule:
    """Makes a rule."""
    sent = document if isinstance(document, Struct) else struct(document or rule())
    request = pb.CreateRuleRequest(rule=pb.GuardrailRule(document=sent), **options)
    return (await house.call("CreateRule", request)).rule  # type: ignore[no-any-return]


async def update(
    house: House, name: str, document: Any, etag: str = "", **options: Any
) -> pb.GuardrailRule:
    """Replaces a rule."""
    made = pb.GuardrailRule(name=name, document=struct(document), etag=etag)
    answer = await house.call("UpdateRule", pb.UpdateRuleRequest(rule=made, **options))
    return answer.rule  # type: ignore[no-any-return]


async def get(house: House, name: str = "mine", version: str = "") -> pb.GuardrailRule:
    """Returns a rule."""
    answer = await house.call("GetRule", pb.GetRuleRequest(name=name, version=version))
    return answer.rule  # type: ignore[no-any-return]


async def listed(house: House) -> dict[str, pb.GuardrailRule]:
    """Returns the rules by id."""
    answer = await house.call("ListRules", pb.ListRulesRequest())
    return {one.name.rpartition("/")[2]: one for one in answer.rules}


async def apply(house: House, *documents: Any, **options: Any) -> pb.ApplyRulesResponse:
    """Applies documents."""
    request = pb.ApplyRulesRequest(documents=map(struct, documents), **options)
    return await house.call("ApplyRules", request)  # type: ignore[no-any-return]
