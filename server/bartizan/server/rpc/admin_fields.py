"""Reads the fields of admin requests; raises InvalidArgument with the path of a wrong one."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.auth import ALL_SCOPES
from bartizan.server.store.projects import DEFAULT_RETENTION_DAYS, Settings
from bartizan.v1 import admin_pb2

MAX_DISPLAY_NAME = 128
MAX_RETENTION_DAYS = 3_650
DEFAULT_OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=30)

_DAY_S = 86_400
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_UUID_FORM = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def display_name(value: str, field: str) -> str:
    """Reads a name for people: at most 128 characters, none of them a control character."""
    if len(value) > MAX_DISPLAY_NAME or _CONTROL.search(value):
        raise InvalidArgument(
            "BAD_DISPLAY_NAME",
            f"a display name has at most {MAX_DISPLAY_NAME} characters and no control characters",
            field=field,
        )
    return value


def settings(
    message: admin_pb2.Project, paths: Collection[str] | None = None, base: Settings | None = None
) -> Settings:
    """Returns `base` with the fields at `paths` as a message has them; all of them when None."""
    wanted = _SETTINGS if paths is None else paths
    changes = {
        column: read(message) for path, (column, read) in _SETTINGS.items() if path in wanted
    }
    return replace(base or Settings(), **changes)


def update_paths(request: admin_pb2.UpdateProjectRequest) -> Collection[str]:
    """Returns which fields of a project to change, as AIP-134 reads a mask."""
    paths = set(request.update_mask.paths)
    if paths - {"*", *_SETTINGS}:
        raise InvalidArgument(
            "BAD_UPDATE_MASK",
            f"update_mask may name {', '.join(_SETTINGS)}, or be *",
            field="update_mask",
        )
    if "*" in paths:
        return _SETTINGS.keys()
    return paths or _SETTINGS.keys() & {field.name for field, _ in request.project.ListFields()}


def scopes(values: Iterable[int], field: str) -> list[int]:
    """Reads what a key may do: one scope or more."""
    found = sorted(set(values))
    if not found or not ALL_SCOPES.issuperset(found):
        names = ", ".join(admin_pb2.Scope.Name(scope) for scope in sorted(ALL_SCOPES))
        raise InvalidArgument(
            "BAD_SCOPES", f"a key has at least one scope, out of {names}", field=field
        )
    return found


def expire_time(message: admin_pb2.ApiKey, now: datetime, field: str) -> datetime | None:
    """Reads when a key is to end; None for never."""
    if not message.HasField("expire_time"):
        return None
    try:
        end = message.expire_time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        end = now
    if end <= now:
        raise InvalidArgument(
            "BAD_EXPIRE_TIME", "a key must expire in the future, before the year 10000", field=field
        )
    return end


def request_id(value: str, field: str = "request_id") -> UUID | None:
    """Reads the UUID of a request; None when it has none."""
    if value and not _UUID_FORM.fullmatch(value):
        raise InvalidArgument("BAD_REQUEST_ID", "a request_id is a UUID", field=field)
    return UUID(value) if value else None


def overlap(request: admin_pb2.RotateApiKeyRequest) -> timedelta:
    """Reads how long a replaced key goes on working."""
    if not request.HasField("overlap"):
        return DEFAULT_OVERLAP
    wanted = _exact(request.overlap)
    if not timedelta(0) <= wanted <= MAX_OVERLAP:
        raise InvalidArgument(
            "BAD_OVERLAP", f"the overlap is 0 to {MAX_OVERLAP.days} days", field="overlap"
        )
    return wanted


def _retention_days(message: admin_pb2.Project) -> int:
    if not message.HasField("retention"):
        return DEFAULT_RETENTION_DAYS
    days, rest = divmod(message.retention.seconds, _DAY_S)
    if rest or message.retention.nanos or not 1 <= days <= MAX_RETENTION_DAYS:
        raise InvalidArgument(
            "BAD_RETENTION",
            f"retention is 1 to {MAX_RETENTION_DAYS} whole days",
            field="project.retention",
        )
    return days


def _max_spans_per_second(message: admin_pb2.Project) -> int:
    if message.max_spans_per_second < 0:
        raise InvalidArgument(
            "BAD_MAX_SPANS_PER_SECOND",
            "max_spans_per_second is negative; 0 means no limit",
            field="project.max_spans_per_second",
        )
    return message.max_spans_per_second


def _exact(duration: Duration) -> timedelta:
    # Far beyond every limit here, yet within what timedelta holds.
    seconds = max(-(10**9), min(duration.seconds, 10**9))
    return timedelta(seconds=seconds, microseconds=duration.nanos / 1000)


_SETTINGS: Mapping[str, tuple[str, Callable[[admin_pb2.Project], Any]]] = {
    "display_name": (
        "display_name",
        lambda message: display_name(message.display_name, "project.display_name"),
    ),
    "retention": ("retention_days", _retention_days),
    "max_spans_per_second": ("max_spans_per_second", _max_spans_per_second),
}
"""Fields of a project that a caller may set: the column of each, and how it is read."""
