from collections.abc import AsyncIterator

import grpc
import pytest
from prometheus_client import CollectorRegistry
from tests.server.admin_support import House
from tests.server.rpc.doors import grpc_details

from bartizan.server.metrics import Metrics
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.v1 import admin_pb2, admin_pb2_grpc

pytest_plugins = ["tests.server.admin_fixtures"]


@pytest.fixture
async def stub(house: House) -> AsyncIterator["admin_pb2_grpc.AdminServiceAsyncStub"]:
    gate = Gate(house.keys, Metrics(CollectorRegistry()))
    async with (
        serve_grpc([house.admin], gate, host="127.0.0.1", port=0) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield admin_pb2_grpc.AdminServiceStub(channel)


def metadata(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),)


async def test_a_key_is_made_used_and_revoked_over_grpc(
    house: House, stub: "admin_pb2_grpc.AdminServiceAsyncStub"
) -> None:
    first = metadata(house.first_secret)
    request = admin_pb2.CreateApiKeyRequest(api_key=admin_pb2.ApiKey(scopes=[admin_pb2.SCOPE_READ]))
    made = await stub.CreateApiKey(request, metadata=first)
    reader = metadata(made.secret)
    assert (await stub.WhoAmI(admin_pb2.WhoAmIRequest(), metadata=reader)).api_key == made.api_key
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListApiKeys(admin_pb2.ListApiKeysRequest(), metadata=reader)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert grpc_details(caught.value).info.metadata == {"scope": "admin"}
    await stub.RevokeApiKey(admin_pb2.RevokeApiKeyRequest(name=made.api_key.name), metadata=first)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.WhoAmI(admin_pb2.WhoAmIRequest(), metadata=reader)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert grpc_details(caught.value).info.reason == "INVALID_KEY"
    assert made.secret not in str(caught.value)


async def test_a_wrong_field_is_named_over_grpc(
    house: House, stub: "admin_pb2_grpc.AdminServiceAsyncStub"
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateProject(
            admin_pb2.CreateProjectRequest(project_id="A"), metadata=metadata(house.first_secret)
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = grpc_details(caught.value).bad_request.field_violations
    assert (violation.field, violation.reason) == ("project_id", "BAD_ID")
