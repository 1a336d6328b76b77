"""The errors a call can end with, and how they are read off the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc
    from google.protobuf.message import Message
    from google.rpc import status_pb2

Detail = TypeVar("Detail", bound="Message")

DETAILS_KEY = "grpc-status-details-bin"
"""The trailer that carries a serialized google.rpc.Status."""


class _Code:
    """Looks a gRPC status code up when it is asked for, so that an error does not import grpc."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, error: object, owner: type) -> grpc.StatusCode:
        import grpc

        return grpc.StatusCode[self.name]


class BartizanError(Exception):
    """Raised when a call fails; its subclasses tell the situations apart.

    Attributes:
        code: the gRPC status code.
        reason: for programs, upper snake case, stable; empty when the server gave none.
        message: for people.
        field: the field of the request that is wrong, if one is.
        retry_delay_s: how long the server asks to wait, in seconds; None when it does not ask.
        metadata: further facts for programs: limits, sizes, names.
    """

    code = _Code("UNKNOWN")

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        retry_delay_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_delay_s = retry_delay_s
        self.metadata = dict(metadata or {})

    @property
    def retryable(self) -> bool:
        """True if the same request may succeed later."""
        return False


class InvalidArgument(BartizanError):
    """Raised when a request is wrong and stays wrong."""

    code = _Code("INVALID_ARGUMENT")


class FailedPrecondition(BartizanError):
    """Raised when the system is not in a state for the request."""

    code = _Code("FAILED_PRECONDITION")


class NotFound(BartizanError):
    """Raised when something does not exist, or not for this key."""

    code = _Code("NOT_FOUND")


class AlreadyExists(BartizanError):
    """Raised when something of that name exists."""

    code = _Code("ALREADY_EXISTS")


class Aborted(BartizanError):
    """Raised when somebody else changed the same thing in between."""

    code = _Code("ABORTED")


class Unauthenticated(BartizanError):
    """Raised when the key is missing, wrong, expired or revoked."""

    code = _Code("UNAUTHENTICATED")


class PermissionDenied(BartizanError):
    """Raised when the key is valid but not for this."""

    code = _Code("PERMISSION_DENIED")


class ResourceExhausted(BartizanError):
    """Raised when a quota is full, which passes, or when a request is too large, which does not."""

    code = _Code("RESOURCE_EXHAUSTED")

    @property
    def retryable(self) -> bool:
        """True if the server says when to come back."""
        return self.retry_delay_s is not None


class Unavailable(BartizanError):
    """Raised when the server, or something it needs, is away for now."""

    code = _Code("UNAVAILABLE")

    @property
    def retryable(self) -> bool:
        """Always True."""
        return True


class Cancelled(BartizanError):
    """Raised when something between client and server cut a call off."""

    code = _Code("CANCELLED")

    @property
    def retryable(self) -> bool:
        """Always True: the server itself never answers so, only proxies and restarts do."""
        return True


class DeadlineExceeded(BartizanError):
    """Raised when a call took longer than it was given."""

    code = _Code("DEADLINE_EXCEEDED")


class Unimplemented(BartizanError):
    """Raised when the server does not know the method: it is older, or not Bartizan."""

    code = _Code("UNIMPLEMENTED")


class Internal(BartizanError):
    """Raised when the server failed in a way that it did not foresee."""

    code = _Code("INTERNAL")


_CLASSES = {vars(cls)["code"].name: cls for cls in BartizanError.__subclasses__()}


def from_rpc(error: grpc.RpcError) -> BartizanError:
    """Returns the typed form of an error that grpc raised."""
    from google.rpc import error_details_pb2

    code = error.code()
    status = _details(error)
    info = _unpack(status, error_details_pb2.ErrorInfo())
    retry = _unpack(status, error_details_pb2.RetryInfo())
    request = _unpack(status, error_details_pb2.BadRequest())
    delay = retry.retry_delay if retry is not None else None
    return _CLASSES.get(code.name, BartizanError)(
        error.details() or code.name,
        reason=info.reason if info is not None else "",
        field=request.field_violations[0].field if request and request.field_violations else "",
        retry_delay_s=delay.seconds + delay.nanos / 1e9 if delay is not None else None,
        metadata=info.metadata if info is not None else None,
    )


def _details(error: grpc.RpcError) -> status_pb2.Status:
    from google.rpc import status_pb2

    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except ValueError:
                break
    return status_pb2.Status()


def _unpack(status: status_pb2.Status, detail: Detail) -> Detail | None:
    """Returns the status's detail of that message type, or None."""
    for packed in status.details:
        if packed.Is(detail.DESCRIPTOR):
            packed.Unpack(detail)
            return detail
    return None
