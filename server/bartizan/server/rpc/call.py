"""Who calls, and what a service may know about the call."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from google.protobuf.descriptor import ServiceDescriptor

from bartizan.v1 import admin_pb2

Scope = admin_pb2.Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a valid API key."""

    key_id: int
    project_id: int
    organization_id: int
    organization: str
    project: str
    scopes: frozenset[int]
    """Numbers of `bartizan.v1.Scope`."""
    max_spans_per_second: int = 0
    """The quota of the project; 0 means none."""

    @property
    def project_name(self) -> str:
        """The resource name of the key's project."""
        return f"organizations/{self.organization}/projects/{self.project}"


@dataclass(slots=True)
class Call:
    """One call of one method, through whichever door."""

    method: str
    """Full name: `bartizan.v1.TraceService/ListTraces`."""
    principal: Principal
    metadata: Mapping[str, str]
    """Lower-case names; binary entries are left out."""
    request_bytes: int = 0
    """Size of the request message after decompression; of a stream, of its latest message."""
    trailers: dict[str, str] = field(default_factory=dict)
    time_left: Callable[[], float | None] = lambda: None
    """Returns how many seconds the caller still waits; None when that is not known."""


class Authenticator(Protocol):
    """Turns the metadata of a call into a principal."""

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """Returns the caller; raises Unauthenticated."""
        ...


class Service(Protocol):
    """One service of the contract.

    It has one coroutine method per unary rpc, `async def Name(self, request, call) -> response`,
    and one async generator per streaming rpc, `async def Name(self, request, call)` or, where the
    client streams, `async def Name(self, requests: AsyncIterator[Request], call)`. Methods raise
    `BartizanError`s and never build statuses.
    """

    DESCRIPTOR: ClassVar[ServiceDescriptor]
    SCOPES: ClassVar[Mapping[str, int | None]]
    """Method name to the scope it needs; None means that any valid key will do."""


Requests = AsyncIterator[Any]
