"""Organizations, projects and keys."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable

from bartizan.v1 import admin_pb2, admin_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import grpc

    Unary = Callable[[Callable[..., Any], Any], Any]


class Admin:
    """What a key of scope admin may do. Every method raises BartizanError when its call fails."""

    def __init__(self, channel: grpc.Channel, unary: Unary) -> None:
        self._stub = admin_pb2_grpc.AdminServiceStub(channel)
        self._unary = unary

    def who_am_i(self) -> admin_pb2.WhoAmIResponse:
        """Returns whose key this is; needs no scope."""
        response: admin_pb2.WhoAmIResponse = self._unary(
            self._stub.WhoAmI, admin_pb2.WhoAmIRequest()
        )
        return response

    def list_projects(self, organization: str = "") -> Iterator[admin_pb2.Project]:
        """Yields the projects of an organization, of the key's own when it is empty."""
        request = admin_pb2.ListProjectsRequest(parent=organization)
        return self._all(self._stub.ListProjects, request, "projects")

    def get_project(self, name: str) -> admin_pb2.Project:
        """Returns a project by its name; raises NotFound."""
        request = admin_pb2.GetProjectRequest(name=name)
        response: admin_pb2.GetProjectResponse = self._unary(self._stub.GetProject, request)
        return response.project

    def create_project(
        self, project_id: str, project: admin_pb2.Project, organization: str = ""
    ) -> admin_pb2.Project:
        """Makes a project; raises AlreadyExists."""
        request = admin_pb2.CreateProjectRequest(
            parent=organization, project_id=project_id, project=project
        )
        response: admin_pb2.CreateProjectResponse = self._unary(self._stub.CreateProject, request)
        return response.project

    def update_project(
        self, project: admin_pb2.Project, fields: Iterable[str]
    ) -> admin_pb2.Project:
        """Changes the named fields of a project, which is known by its name; raises NotFound."""
        request = admin_pb2.UpdateProjectRequest(project=project)
        request.update_mask.paths.extend(fields)
        response: admin_pb2.UpdateProjectResponse = self._unary(self._stub.UpdateProject, request)
        return response.project

    def list_keys(self, project: str = "") -> Iterator[admin_pb2.ApiKey]:
        """Yields the keys of a project, newest first; of the key's own when it is empty."""
        request = admin_pb2.ListApiKeysRequest(parent=project)
        return self._all(self._stub.ListApiKeys, request, "api_keys")

    def create_key(
        self,
        scopes: Sequence[str],
        *,
        display_name: str = "",
        project: str = "",
        expires: datetime | None = None,
    ) -> admin_pb2.CreateApiKeyResponse:
        """Makes a key with scopes out of ingest, read, check, rules, admin; holds the secret.

        Raises ValueError for a scope that does not exist.
        """
        numbers = [admin_pb2.Scope.Value(f"SCOPE_{scope.upper()}") for scope in scopes]
        key = admin_pb2.ApiKey(display_name=display_name, scopes=numbers)
        if expires is not None:
            key.expire_time.FromDatetime(expires.astimezone(timezone.utc))
        # The same id with every attempt: a second one must not make a second key.
        request = admin_pb2.CreateApiKeyRequest(
            parent=project, api_key=key, request_id=str(uuid.uuid4())
        )
        response: admin_pb2.CreateApiKeyResponse = self._unary(self._stub.CreateApiKey, request)
        return response

    def revoke_key(self, name: str) -> admin_pb2.ApiKey:
        """Ends a key at once; raises NotFound."""
        request = admin_pb2.RevokeApiKeyRequest(name=name)
        response: admin_pb2.RevokeApiKeyResponse = self._unary(self._stub.RevokeApiKey, request)
        return response.api_key

    def rotate_key(
        self, name: str, overlap: timedelta | None = None
    ) -> admin_pb2.RotateApiKeyResponse:
        """Makes a key in place of another, which goes on working for the overlap; raises NotFound.

        The server's own overlap, 24 hours, holds when none is given.
        """
        request = admin_pb2.RotateApiKeyRequest(name=name)
        if overlap is not None:
            request.overlap.FromTimedelta(overlap)
        response: admin_pb2.RotateApiKeyResponse = self._unary(self._stub.RotateApiKey, request)
        return response

    def _all(self, method: Callable[..., Any], request: Any, items: str) -> Iterator[Any]:
        while True:
            page = self._unary(method, request)
            yield from getattr(page, items)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
