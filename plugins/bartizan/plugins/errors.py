"""The error tree of Bartizan. One table per door maps a code to what the caller sees."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """What went wrong, in the terms of gRPC status codes."""

    INVALID_ARGUMENT = "invalid_argument"
    FAILED_PRECONDITION = "failed_precondition"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    ABORTED = "aborted"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNAVAILABLE = "unavailable"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"


class BartizanError(Exception):
    """An error that a caller may see. Its message never holds content or secrets.

    Attributes:
        reason: for programs, upper snake case, stable.
        message: for people.
        field: the field of the request that is wrong, if one is.
        retry_delay_s: when to try again; only of retryable errors.
        metadata: further facts for programs: limits, sizes, names.
    """

    code: ClassVar[Code] = Code.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str = "",
        retry_delay_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_delay_s = retry_delay_s
        self.metadata = dict(metadata or {})


class InvalidArgument(BartizanError):
    """Raised when a request is wrong and stays wrong."""

    code = Code.INVALID_ARGUMENT


class FailedPrecondition(BartizanError):
    """Raised when the system is not in a state for the request."""

    code = Code.FAILED_PRECONDITION


class NotFound(BartizanError):
    """Raised when something does not exist, or not for this caller."""

    code = Code.NOT_FOUND


class AlreadyExists(BartizanError):
    """Raised when something of that name exists."""

    code = Code.ALREADY_EXISTS


class Aborted(BartizanError):
    """Raised when somebody else changed the same thing in between."""

    code = Code.ABORTED


class Unauthenticated(BartizanError):
    """Raised when a key is missing, wrong, expired or revoked."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(BartizanError):
    """Raised when a key is valid but not for this."""

    code = Code.PERMISSION_DENIED


class TooLarge(BartizanError):
    """Raised when a request is over a limit and stays over it."""

    code = Code.RESOURCE_EXHAUSTED


class Overloaded(BartizanError):
    """Raised when a queue or a quota is full for now."""

    code = Code.RESOURCE_EXHAUSTED
    retryable = True


class Unavailable(BartizanError):
    """Raised when something the request needs is away for now: the database, a draining server."""

    code = Code.UNAVAILABLE
    retryable = True


class DeadlineExceeded(BartizanError):
    """Raised when somebody took longer than allowed."""

    code = Code.DEADLINE_EXCEEDED


class Unimplemented(BartizanError):
    """Raised when a door cannot carry a method."""

    code = Code.UNIMPLEMENTED


class ConfigError(BartizanError):
    """Raised when a configuration, rule or plugin document is wrong. Ends a start with code 2."""

    code = Code.INVALID_ARGUMENT
