"""Wrong keys get nowhere, and no tenant sees, or can tell, what another has."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import pytest
from tests.support.servers import bearer, post, unjudged
from tests.support.serving import Serving
from tests.support.spans import make_span

from bartizan.client import (
    Bartizan,
    BartizanError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from bartizan.v1 import admin_pb2, common_pb2, trace_pb2, trace_pb2_grpc

ALL_SCOPES = ["ingest", "read", "admin"]
CREATE_ORGANIZATION = "bartizan.v1.AdminService/CreateOrganization"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Tenant:
    """One project, a client with all scopes in it, and a trace of its own in a session."""

    name: str
    key: str
    client: Bartizan
    span: common_pb2.Span


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("tenants")) as serving:
        yield serving


@pytest.fixture(scope="module")
def owner(serving: Serving) -> Iterator[Bartizan]:
    """The first key, which reaches every organization."""
    with Bartizan(serving.key, serving.grpc, max_attempts=1) as client:
        yield client


def tenant(serving: Serving, owner: Bartizan, organization: str) -> Tenant:
    request = admin_pb2.CreateOrganizationRequest(organization_id=organization)
    owner.call(CREATE_ORGANIZATION, request.SerializeToString())
    parent = f"organizations/{organization}"
    project = owner.admin.create_project("shop", admin_pb2.Project(), parent)
    key = owner.admin.create_key(ALL_SCOPES, project=project.name).secret
    client = Bartizan(key, serving.grpc, max_attempts=1)
    span = make_span(random.Random(organization), session_id=f"session-{organization}")
    assert client.export([span]).stored == 1
    return Tenant(project.name, key, client, span)


@pytest.fixture(scope="module")
def acme(serving: Serving, owner: Bartizan) -> Iterator[Tenant]:
    made = tenant(serving, owner, "acme")
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def rival(serving: Serving, owner: Bartizan) -> Iterator[Tenant]:
    made = tenant(serving, owner, "rival")
    yield made
    made.client.close()


def test_each_sees_its_own(acme: Tenant, rival: Tenant) -> None:
    for one in (acme, rival):
        (trace,) = one.client.list_traces()
        assert trace.name == f"{one.name}/traces/{one.span.trace_id}"
        (session,) = one.client.list_sessions()
        assert session.session_id == one.span.session_id
        assert [project.name for project in one.client.admin.list_projects()] == [one.name]


STRANGERS_REQUESTS: dict[str, Callable[[Bartizan, Tenant], object]] = {
    "trace id": lambda c, other: c.get_trace(other.span.trace_id),
    "trace name": lambda c, other: c.get_trace(f"{other.name}/traces/{other.span.trace_id}"),
    "session id": lambda c, other: c.get_session(other.span.session_id),
    "session name": lambda c, other: c.get_session(
        f"{other.name}/sessions/{other.span.session_id}"
    ),
    "list of traces": lambda c, other: c.call(
        "bartizan.v1.TraceService/ListTraces",
        trace_pb2.ListTracesRequest(parent=other.name).SerializeToString(),
    ),
    "list of sessions": lambda c, other: c.call(
        "bartizan.v1.TraceService/ListSessions",
        trace_pb2.ListSessionsRequest(parent=other.name).SerializeToString(),
    ),
    "project": lambda c, other: c.admin.get_project(other.name),
    "update of a project": lambda c, other: c.admin.update_project(
        admin_pb2.Project(name=other.name, display_name="mine"), ["display_name"]
    ),
    "project in an organization": lambda c, other: c.admin.create_project(
        "more", admin_pb2.Project(), other.name.split("/projects/")[0]
    ),
    "list of projects": lambda c, other: list(
        c.admin.list_projects(other.name.split("/projects/")[0])
    ),
    "list of keys": lambda c, other: list(c.admin.list_keys(other.name)),
    "new key": lambda c, other: c.admin.create_key(["read"], project=other.name),
    "revoked key": lambda c, other: c.admin.revoke_key(key_of(other)),
    "rotated key": lambda c, other: c.admin.rotate_key(key_of(other)),
}


def key_of(tenant: Tenant) -> str:
    return next(iter(tenant.client.admin.list_keys())).name


@pytest.mark.parametrize("what", STRANGERS_REQUESTS)
def test_what_is_anothers_is_not_found(acme: Tenant, rival: Tenant, what: str) -> None:
    ask = STRANGERS_REQUESTS[what]
    absent = Tenant(
        "organizations/nobody/projects/none",
        "",
        acme.client,
        common_pb2.Span(trace_id="ab" * 16, session_id="session-none"),
    )
    with pytest.raises(NotFound) as others:
        ask(acme.client, rival)
    if what in ("revoked key", "rotated key"):
        return
    with pytest.raises(NotFound) as nothing:
        ask(acme.client, absent)
    assert others.value.message == nothing.value.message, "it cannot be told apart"
    assert others.value.reason == nothing.value.reason


def test_filters_and_texts_find_nothing_of_another(acme: Tenant, rival: Tenant) -> None:
    assert not list(acme.client.list_traces(session_id=rival.span.session_id))
    assert len(list(acme.client.list_traces(text="Where is my order"))) == 1


def test_the_same_ids_in_two_projects_are_two_spans(acme: Tenant, rival: Tenant) -> None:
    span = make_span(random.Random(5))
    assert acme.client.export([span]).stored == 1
    assert rival.client.export([span]).stored == 1
    assert acme.client.export([span]).duplicate == 1
    assert len(rival.client.get_trace(span.trace_id).spans) == 1


def test_a_tail_shows_its_own_project_only(serving: Serving, acme: Tenant, rival: Tenant) -> None:
    with grpc.insecure_channel(serving.grpc) as channel:
        stub = trace_pb2_grpc.TraceServiceStub(channel)
        stranger = stub.TailTraces(
            trace_pb2.TailTracesRequest(parent=rival.name),
            metadata=bearer(acme.key),
            timeout=TIMEOUT_S,
        )
        with pytest.raises(grpc.RpcError) as refusal:
            next(stranger)
        assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
        tail = stub.TailTraces(
            trace_pb2.TailTracesRequest(), metadata=bearer(acme.key), timeout=TIMEOUT_S
        )
        next(tail)
        rng = random.Random(6)
        assert rival.client.export([make_span(rng)]).stored == 1
        own = make_span(rng)
        assert acme.client.export([own]).stored == 1
        assert [trace.trace_id for trace in next(tail).traces] == [own.trace_id]
        tail.cancel()


@pytest.mark.parametrize("key", ["", "nonsense", "bz_" + "a" * 43])
def test_a_wrong_key_is_unauthenticated(serving: Serving, acme: Tenant, key: str) -> None:
    calls: list[Callable[[Bartizan], object]] = [
        lambda c: c.export([acme.span]),
        lambda c: c.stream(max_attempts=1).send([acme.span]).result(TIMEOUT_S),
        lambda c: list(c.list_traces()),
        lambda c: c.get_trace(acme.span.trace_id),
        lambda c: next(c.tail()),
        lambda c: c.admin.who_am_i(),
    ]
    with Bartizan(key, serving.grpc, max_attempts=1) as client:
        for call in calls:
            with pytest.raises(Unauthenticated):
                call(client)
    for path, content in (
        ("/v1/traces", "application/x-protobuf"),
        ("/v1/traces", "application/json"),
        ("/bartizan.v1.TraceService/ListTraces", "application/json"),
    ):
        assert post(serving, path, b"", content, key=key)[0] == 401


def test_keys_stop_at_their_scopes(serving: Serving, owner: Bartizan) -> None:
    span = make_span(random.Random(7))
    calls: dict[str, Callable[[Bartizan], object]] = {
        "ingest": lambda c: c.export([span]),
        "read": lambda c: list(c.list_traces()),
        "admin": lambda c: list(c.admin.list_keys()),
    }
    for scope in calls:
        secret = owner.admin.create_key([scope]).secret
        with Bartizan(secret, serving.grpc, max_attempts=1) as client:
            for needed, call in calls.items():
                if needed == scope:
                    call(client)
                    continue
                with pytest.raises(PermissionDenied) as refusal:
                    call(client)
                assert refusal.value.metadata["scope"] == needed
        status, _, body = post(serving, "/v1/traces", b"{}", "application/json", key=secret)
        assert status == (200 if scope == "ingest" else 403), body


def test_a_revoked_key_ends_calls_and_open_streams(serving: Serving, owner: Bartizan) -> None:
    made = owner.admin.create_key(["ingest", "read"])
    rng = random.Random(8)
    with Bartizan(made.secret, serving.grpc, max_attempts=1) as client:
        stream = client.stream(max_attempts=1)
        assert stream.send([make_span(rng)]).result(TIMEOUT_S).stored == 1
        owner.admin.revoke_key(made.api_key.name)
        with pytest.raises(Unauthenticated):
            client.export([make_span(rng)])
        with pytest.raises(BartizanError) as ended:
            stream.send([make_span(rng)]).result(TIMEOUT_S)
        assert isinstance(ended.value, Unauthenticated)
    status, _, body = post(serving, "/v1/traces", b"{}", "application/json", key=made.secret)
    assert (status, "code" in json.loads(body)) == (401, True)


def test_an_expired_key_is_refused_and_a_rotated_one_overlaps(
    serving: Serving, owner: Bartizan
) -> None:
    with pytest.raises(BartizanError):
        owner.admin.create_key(["read"], expires=datetime(2020, 1, 1, tzinfo=UTC))
    old = owner.admin.create_key(["read"])
    new = owner.admin.rotate_key(old.api_key.name)
    for secret in (old.secret, new.secret):
        with Bartizan(secret, serving.grpc, max_attempts=1) as client:
            list(client.list_traces(1))


def test_secrets_are_nowhere_but_in_their_one_answer(serving: Serving, owner: Bartizan) -> None:
    made = owner.admin.create_key(["read"])
    assert made.secret not in str(list(owner.admin.list_keys()))
    log = serving.log_file.read_text()
    assert made.secret not in log
    assert log.count(serving.key) == 2, "in the welcome of the first start only"
