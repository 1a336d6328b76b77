"""Organizations, projects and keys as messages of the contract."""

from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from bartizan.server.rpc.names import ApiKeyName, OrganizationName, ProjectName
from bartizan.server.store.keys import ApiKey
from bartizan.server.store.organizations import Organization
from bartizan.server.store.projects import Project
from bartizan.v1 import admin_pb2


def organization(row: Organization) -> admin_pb2.Organization:
    """Returns an organization as a message."""
    return admin_pb2.Organization(
        name=str(OrganizationName(row.slug)),
        display_name=row.display_name,
        create_time=_timestamp(row.create_time),
        uid=str(row.uid),
    )


def project(row: Project) -> admin_pb2.Project:
    """Returns a project as a message."""
    message = admin_pb2.Project(
        name=str(ProjectName(row.organization, row.slug)),
        display_name=row.display_name,
        max_spans_per_second=row.max_spans_per_second,
        create_time=_timestamp(row.create_time),
        update_time=_timestamp(row.update_time),
        uid=str(row.uid),
        etag=etag(row),
    )
    message.retention.FromTimedelta(timedelta(days=row.retention_days))
    return message


def etag(row: Project) -> str:
    """Returns what changes with every update of a project."""
    return f"v{row.version}"


def api_key(row: ApiKey) -> admin_pb2.ApiKey:
    """Returns a key as a message."""
    return admin_pb2.ApiKey(
        name=api_key_name(row),
        display_name=row.display_name,
        prefix=row.prefix,
        scopes=[admin_pb2.Scope.ValueType(scope) for scope in row.scopes],
        create_time=_timestamp(row.create_time),
        expire_time=_timestamp(row.expire_time),
        revoke_time=_timestamp(row.revoke_time),
        last_used_time=_timestamp(row.last_used_time),
    )


def api_key_name(row: ApiKey) -> str:
    """Returns the resource name of a key."""
    return str(ApiKeyName(row.organization, row.project, row.slug))


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message
