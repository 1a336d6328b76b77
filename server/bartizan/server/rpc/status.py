"""What a caller sees of an error, through whichever door.

One table maps the codes of `bartizan.plugins.errors` to gRPC, Connect and HTTP. Every error leaves
as a google.rpc.Status with one ErrorInfo of domain "bartizan.dev", and a BadRequest or a RetryInfo
where there is a field or a delay to name.
"""

import math
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import grpc
import structlog
from connectrpc.code import Code as ConnectCode
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from bartizan.plugins.errors import BartizanError, Code, Unavailable
from bartizan.server.rpc.outage import is_outage

DOMAIN = "bartizan.dev"
DETAILS_TRAILER = "grpc-status-details-bin"

DEFAULT_RETRY_SECONDS = 1.0
"""For retryable errors that name no delay: clients retry RESOURCE_EXHAUSTED only if told when."""

_log = structlog.stdlib.get_logger(__name__)


class Faces(NamedTuple):
    """How one code looks at each door."""

    grpc: grpc.StatusCode
    connect: ConnectCode
    http: HTTPStatus


_G, _C, _H = grpc.StatusCode, ConnectCode, HTTPStatus

TABLE: Mapping[Code, Faces] = {
    Code.INVALID_ARGUMENT: Faces(_G.INVALID_ARGUMENT, _C.INVALID_ARGUMENT, _H.BAD_REQUEST),
    Code.FAILED_PRECONDITION: Faces(_G.FAILED_PRECONDITION, _C.FAILED_PRECONDITION, _H.BAD_REQUEST),
    Code.NOT_FOUND: Faces(_G.NOT_FOUND, _C.NOT_FOUND, _H.NOT_FOUND),
    Code.ALREADY_EXISTS: Faces(_G.ALREADY_EXISTS, _C.ALREADY_EXISTS, _H.CONFLICT),
    Code.ABORTED: Faces(_G.ABORTED, _C.ABORTED, _H.CONFLICT),
    Code.UNAUTHENTICATED: Faces(_G.UNAUTHENTICATED, _C.UNAUTHENTICATED, _H.UNAUTHORIZED),
    Code.PERMISSION_DENIED: Faces(_G.PERMISSION_DENIED, _C.PERMISSION_DENIED, _H.FORBIDDEN),
    Code.RESOURCE_EXHAUSTED: Faces(
        _G.RESOURCE_EXHAUSTED, _C.RESOURCE_EXHAUSTED, _H.TOO_MANY_REQUESTS
    ),
    Code.DEADLINE_EXCEEDED: Faces(_G.DEADLINE_EXCEEDED, _C.DEADLINE_EXCEEDED, _H.GATEWAY_TIMEOUT),
    Code.UNAVAILABLE: Faces(_G.UNAVAILABLE, _C.UNAVAILABLE, _H.SERVICE_UNAVAILABLE),
    Code.UNIMPLEMENTED: Faces(_G.UNIMPLEMENTED, _C.UNIMPLEMENTED, _H.NOT_IMPLEMENTED),
    Code.INTERNAL: Faces(_G.INTERNAL, _C.INTERNAL, _H.INTERNAL_SERVER_ERROR),
}


def known(error: Exception, method: str) -> BartizanError:
    """Returns what the caller of `method` may see of an error.

    An unknown error is masked: the log gets its type and place, never its text, which may hold
    content.
    """
    if isinstance(error, BartizanError):
        return error
    facts = {"method": method, "error": type(error).__qualname__, "at": _place(error)}
    if is_outage(error):
        _log.warning("the database is away", **facts)
        return Unavailable("DATABASE_UNAVAILABLE", "the database is away for now; try again")
    _log.error("a call failed for an unexpected reason", **facts)
    return BartizanError("INTERNAL", "the server failed on this request; its log says where")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"


def retry_delay_s(error: BartizanError) -> float | None:
    """Returns after how many seconds to try again; None if that does not help."""
    if not error.retryable:
        return None
    return DEFAULT_RETRY_SECONDS if error.retry_delay_s is None else error.retry_delay_s


def status_proto(error: BartizanError) -> status_pb2.Status:
    """Returns the error as google.rpc.Status with its details."""
    number: int = TABLE[error.code].grpc.value[0]
    status = status_pb2.Status(code=number, message=error.message)
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def _details(error: BartizanError) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.field:
        details.append(_bad_request(error))
    if (delay_s := retry_delay_s(error)) is not None:
        details.append(_retry_info(delay_s))
    return details


def _bad_request(error: BartizanError) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=error.field, description=error.message, reason=error.reason
    )
    bad_request: Message = error_details_pb2.BadRequest(field_violations=[violation])
    return bad_request


def _retry_info(delay_s: float) -> Message:
    delay = Duration()
    delay.FromMilliseconds(math.ceil(delay_s * 1000))
    retry_info: Message = error_details_pb2.RetryInfo(retry_delay=delay)
    return retry_info


def http_status(error: BartizanError) -> HTTPStatus:
    """Returns the HTTP status of an error: the table's, but 413 for what stays too large."""
    if error.code is Code.RESOURCE_EXHAUSTED and not error.retryable:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return TABLE[error.code].http


def http_headers(error: BartizanError) -> dict[str, str]:
    """Returns the headers that go with an error: Retry-After, in whole seconds, rounded up."""
    delay_s = retry_delay_s(error)
    return {} if delay_s is None else {"retry-after": str(max(1, math.ceil(delay_s)))}
