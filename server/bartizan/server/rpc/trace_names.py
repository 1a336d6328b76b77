"""Names of traces and sessions, within the project of the caller's key."""

import re
from urllib.parse import quote, unquote
from uuid import UUID

from bartizan.plugins.errors import InvalidArgument, NotFound
from bartizan.server.rpc.call import Principal

MAX_SESSION_ID = 256
_TRACE_ID = re.compile("[0-9a-fA-F]{32}")
_NAME = re.compile(r"(organizations/[^/]+/projects/[^/]+)/(\w+)/([^/]+)")


def check_parent(parent: str, principal: Principal) -> None:
    """Raises NotFound unless a parent is empty or the caller's own project."""
    if parent not in ("", principal.project_name):
        raise NotFound("PROJECT_NOT_FOUND", "There is no such project.", field="parent")


def trace_name(principal: Principal, trace_id: UUID) -> str:
    """Returns the name of a trace of the caller's project."""
    return f"{principal.project_name}/traces/{trace_id.hex}"


def session_name(principal: Principal, session_id: str) -> str:
    """Returns the name of a session of the caller's project; the id is percent-encoded in it."""
    return f"{principal.project_name}/sessions/{quote(session_id, safe='')}"


def read_trace_id(name: str, principal: Principal) -> UUID:
    """Reads the name of a trace, or its bare id; raises InvalidArgument, NotFound."""
    project, trace_id = "", name
    if "/" in name:
        project, trace_id = _split(name, "traces")
    if not _TRACE_ID.fullmatch(trace_id) or not int(trace_id, 16):
        raise InvalidArgument(
            "BAD_TRACE_ID",
            "A trace id has 32 hexadecimal digits, not all of them zero.",
            field="name",
        )
    if project not in ("", principal.project_name):
        raise trace_not_found()
    return UUID(trace_id)


def read_session_id(name: str, principal: Principal) -> str:
    """Reads the name of a session, or its bare id; raises InvalidArgument, NotFound."""
    project, session_id = "", name
    if (match := _NAME.fullmatch(name)) and match[2] == "sessions":
        project, session_id = match[1], unquote(match[3], errors="replace")
    if not 1 <= len(session_id) <= MAX_SESSION_ID or "\0" in session_id:
        raise InvalidArgument(
            "BAD_SESSION_ID", f"A session id has 1 to {MAX_SESSION_ID} characters.", field="name"
        )
    if project not in ("", principal.project_name):
        raise session_not_found()
    return session_id


def trace_not_found() -> NotFound:
    """Returns the error for a trace that is not there, or not the caller's."""
    return NotFound("TRACE_NOT_FOUND", "There is no such trace.", field="name")


def session_not_found() -> NotFound:
    """Returns the error for a session that is not there, or not the caller's."""
    return NotFound("SESSION_NOT_FOUND", "There is no such session.", field="name")


def _split(name: str, collection: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None or match[2] != collection:
        raise InvalidArgument(
            "BAD_NAME",
            f"The name must look like organizations/ID/projects/ID/{collection}/ID.",
            field="name",
        )
    return match[1], match[3]
