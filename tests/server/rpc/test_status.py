import re

import asyncpg
import grpc
import pytest
import sqlalchemy.exc
from connectrpc.code import Code as ConnectCode
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.server.rpc.doors import SECRET, details_of

from bartizan.plugins.errors import (
    BartizanError,
    Code,
    InvalidArgument,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
)
from bartizan.server.rpc.outage import is_outage
from bartizan.server.rpc.status import (
    TABLE,
    http_headers,
    http_status,
    known,
    retry_delay_s,
    status_proto,
)


def test_the_table_has_every_code_under_its_own_name() -> None:
    assert set(TABLE) == set(Code)
    for code, faces in TABLE.items():
        assert faces.grpc is grpc.StatusCode[code.name]
        assert faces.connect is ConnectCode(code.value)


@pytest.mark.parametrize("error", [RuntimeError(SECRET), Unavailable("AWAY", "away")])
def test_reasons_have_their_form(error: Exception) -> None:
    details = details_of(status_proto(known(error, "S/M")).details)
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]", details.info.reason)


def test_what_stays_too_large_is_413_and_what_is_full_429() -> None:
    assert http_status(TooLarge("A_B", "x")) == 413
    assert http_status(Overloaded("A_B", "x")) == 429


@given(st.floats(min_value=0, max_value=3600))
def test_delays_are_never_rounded_down(delay_s: float) -> None:
    error = Overloaded("FULL", "full", retry_delay_s=delay_s)
    retry = details_of(status_proto(error).details).retry
    assert delay_s <= retry.retry_delay.ToMilliseconds() / 1000 <= delay_s + 0.001
    assert delay_s <= int(http_headers(error)["retry-after"]) <= delay_s + 1


def test_only_retryable_errors_have_a_delay() -> None:
    assert retry_delay_s(Unavailable("AWAY", "away")) == 1.0
    assert retry_delay_s(NotFound("NO", "no", retry_delay_s=3)) is None
    assert http_headers(NotFound("NO", "no")) == {}


def _dbapi(orig: Exception, invalidated: bool = False) -> Exception:
    return sqlalchemy.exc.DBAPIError("INSERT ...", None, orig, connection_invalidated=invalidated)


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (asyncpg.ConnectionDoesNotExistError(SECRET), True),
        (asyncpg.CannotConnectNowError(SECRET), True),
        (asyncpg.TooManyConnectionsError(SECRET), True),
        (asyncpg.DiskFullError(SECRET), True),
        (asyncpg.AdminShutdownError(SECRET), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (sqlalchemy.exc.TimeoutError(), True),
        (ConnectionRefusedError(), True),
        (FileNotFoundError(), True),
        (TimeoutError(), True),
        (_dbapi(Exception(), invalidated=True), True),
        (_dbapi(asyncpg.DiskFullError()), True),
        (_dbapi(_caused(Exception(), asyncpg.AdminShutdownError())), True),
        (_caused(RuntimeError(), ConnectionResetError()), True),
        (asyncpg.DataError(SECRET), False),
        (asyncpg.exceptions.UniqueViolationError(SECRET), False),
        (_dbapi(asyncpg.exceptions.NotNullViolationError()), False),
        (PermissionError(), False),
        (ValueError(), False),
    ],
)
def test_outages(error: Exception, away: bool) -> None:
    assert is_outage(error) is away
    assert isinstance(known(error, "S/M"), Unavailable) is away


def test_a_known_error_stays_itself() -> None:
    error = InvalidArgument("BAD", "bad")
    assert known(error, "S/M") is error


def test_an_unknown_error_is_logged_by_type_and_place_alone() -> None:
    with capture_logs() as logs:
        seen = known(_raised(), "S/M")
    assert (type(seen), SECRET in seen.message) == (BartizanError, False)
    (log,) = logs
    assert (log["method"], log["error"]) == ("S/M", "RuntimeError")
    assert log["at"].partition(":")[0].endswith("test_status.py")
    assert SECRET not in str(log)


def _raised() -> Exception:
    try:
        raise RuntimeError(SECRET)
    except RuntimeError as error:
        return error
