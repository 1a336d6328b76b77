"""Times as the database driver has them, and as nanoseconds since 1970."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_TIME = datetime(1, 1, 1, tzinfo=UTC)
MAX_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def from_ns(ns: int) -> datetime:
    """Returns nanoseconds since 1970 as a UTC time, cut to microseconds."""
    return EPOCH + timedelta(microseconds=ns // 1000)


def to_ns(time: datetime) -> int:
    """Returns a time as nanoseconds since 1970, exactly."""
    return (time - EPOCH) // _MICROSECOND * 1000
