"""Organizations, projects and API keys, for callers with the scope admin."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.plugins.errors import Aborted, AlreadyExists, PermissionDenied
from bartizan.server import __version__
from bartizan.server.auth import Clock
from bartizan.server.auth_secret import RandomBytes
from bartizan.server.rpc import admin_fields, admin_messages, admin_reach
from bartizan.server.rpc.admin_keys import KeyAdmin
from bartizan.server.rpc.admin_pages import Page
from bartizan.server.rpc.call import Call, Scope
from bartizan.server.rpc.names import ApiKeyName, OrganizationName, ProjectName, check_id
from bartizan.server.store import keys, organizations, projects
from bartizan.server.store.paging import PageTokens
from bartizan.v1 import admin_pb2


class AdminService:
    """Manages organizations, projects and keys.

    A key reaches its own organization; a key of the first organization reaches all. Whatever a
    key does not reach is NOT_FOUND for it.
    """

    DESCRIPTOR: ClassVar = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
    SCOPES: ClassVar[Mapping[str, int | None]] = {
        method.name: None if method.name == "WhoAmI" else Scope.SCOPE_ADMIN
        for method in DESCRIPTOR.methods
    }

    def __init__(
        self,
        engine: AsyncEngine,
        tokens: PageTokens,
        *,
        clock: Clock,
        forget: Callable[[str], None],
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        """Makes the service.

        Args:
            forget: told of each change of a key or a project, as `auth.Keys.forget` wants it.
        """
        self._engine = engine
        self._clock = clock
        self._forget = forget
        self._tokens = tokens
        self._keys = KeyAdmin(engine, tokens, clock, forget, random_bytes)

    async def WhoAmI(
        self, request: admin_pb2.WhoAmIRequest, call: Call
    ) -> admin_pb2.WhoAmIResponse:
        """Shows whose key this is; without authentication there is none to show."""
        async with self._engine.connect() as connection:
            key = await keys.get_by_id(connection, call.principal.key_id)
        return admin_pb2.WhoAmIResponse(
            project=call.principal.project_name,
            api_key=None if key is None else admin_messages.api_key(key),
            server_version=__version__,
        )

    async def CreateOrganization(
        self, request: admin_pb2.CreateOrganizationRequest, call: Call
    ) -> admin_pb2.CreateOrganizationResponse:
        """Makes an organization; raises PermissionDenied, InvalidArgument, AlreadyExists."""
        slug = check_id(request.organization_id, "organization_id")
        name = admin_fields.display_name(
            request.organization.display_name, "organization.display_name"
        )
        async with self._transaction(request.validate_only) as connection:
            if not await organizations.is_first(connection, call.principal.organization_id):
                raise PermissionDenied(
                    "FIRST_ORGANIZATION_ONLY",
                    "only a key of the first organization may make organizations",
                )
            made = await organizations.insert(connection, slug, name, self._clock())
            if made is None:
                raise _exists("organization", "organization_id")
        return admin_pb2.CreateOrganizationResponse(organization=admin_messages.organization(made))

    async def GetOrganization(
        self, request: admin_pb2.GetOrganizationRequest, call: Call
    ) -> admin_pb2.GetOrganizationResponse:
        """Shows one organization; raises InvalidArgument, NotFound."""
        name = OrganizationName.parse(request.name, "name")
        async with self._engine.connect() as connection:
            found = await admin_reach.organization(connection, call.principal, name)
        return admin_pb2.GetOrganizationResponse(organization=admin_messages.organization(found))

    async def ListOrganizations(
        self, request: admin_pb2.ListOrganizationsRequest, call: Call
    ) -> admin_pb2.ListOrganizationsResponse:
        """Lists the organizations that the key reaches, by name; raises InvalidArgument."""
        caller = call.principal.organization_id
        page = Page[organizations.Organization](
            self._tokens, f"organizations of {caller}", request, lambda row: [row.slug]
        )
        async with self._engine.connect() as connection:
            rows = await organizations.page(connection, caller, page.limit, *page.position)
        items, token = page.cut(rows)
        return admin_pb2.ListOrganizationsResponse(
            organizations=map(admin_messages.organization, items), next_page_token=token
        )

    async def CreateProject(
        self, request: admin_pb2.CreateProjectRequest, call: Call
    ) -> admin_pb2.CreateProjectResponse:
        """Makes a project; raises InvalidArgument, NotFound, AlreadyExists."""
        slug = check_id(request.project_id, "project_id")
        settings = admin_fields.settings(request.project)
        async with self._transaction(request.validate_only) as connection:
            parent = await admin_reach.parent_organization(
                connection, call.principal, request.parent
            )
            made = await projects.insert(connection, parent.id, slug, settings, self._clock())
            if made is None:
                raise _exists("project", "project_id")
        return admin_pb2.CreateProjectResponse(project=admin_messages.project(made))

    async def GetProject(
        self, request: admin_pb2.GetProjectRequest, call: Call
    ) -> admin_pb2.GetProjectResponse:
        """Shows one project; raises InvalidArgument, NotFound."""
        name = ProjectName.parse(request.name, "name")
        async with self._engine.connect() as connection:
            found = await admin_reach.project(connection, call.principal, name)
        return admin_pb2.GetProjectResponse(project=admin_messages.project(found))

    async def ListProjects(
        self, request: admin_pb2.ListProjectsRequest, call: Call
    ) -> admin_pb2.ListProjectsResponse:
        """Lists the projects of an organization, by name; raises InvalidArgument, NotFound."""
        async with self._engine.connect() as connection:
            parent = await admin_reach.parent_organization(
                connection, call.principal, request.parent
            )
            page = Page[projects.Project](
                self._tokens, f"projects of {parent.id}", request, lambda row: [row.slug]
            )
            rows = await projects.page(connection, parent.id, page.limit, *page.position)
        items, token = page.cut(rows)
        return admin_pb2.ListProjectsResponse(
            projects=map(admin_messages.project, items), next_page_token=token
        )

    async def UpdateProject(
        self, request: admin_pb2.UpdateProjectRequest, call: Call
    ) -> admin_pb2.UpdateProjectResponse:
        """Changes a project; raises InvalidArgument, NotFound, Aborted on another etag."""
        name = ProjectName.parse(request.project.name, "project.name")
        paths = admin_fields.update_paths(request)
        async with self._transaction(request.validate_only) as connection:
            found = await admin_reach.project(connection, call.principal, name, lock=True)
            _check_etag(request.project.etag, found)
            settings = admin_fields.settings(request.project, paths, found.settings)
            changed = await projects.update(connection, found.id, settings, self._clock())
            await keys.announce(connection, f"project:{found.id}")
        if not request.validate_only:
            self._forget(f"project:{found.id}")
        return admin_pb2.UpdateProjectResponse(project=admin_messages.project(changed))

    async def CreateApiKey(
        self, request: admin_pb2.CreateApiKeyRequest, call: Call
    ) -> admin_pb2.CreateApiKeyResponse:
        """Makes a key; raises InvalidArgument, NotFound, AlreadyExists."""
        return await self._keys.create(request, call.principal)

    async def ListApiKeys(
        self, request: admin_pb2.ListApiKeysRequest, call: Call
    ) -> admin_pb2.ListApiKeysResponse:
        """Lists the keys of a project, newest first; raises InvalidArgument, NotFound."""
        return await self._keys.list(request, call.principal)

    async def RevokeApiKey(
        self, request: admin_pb2.RevokeApiKeyRequest, call: Call
    ) -> admin_pb2.RevokeApiKeyResponse:
        """Ends a key, the caller's own too; raises InvalidArgument, NotFound, FailedPrecondition.

        The last admin key of the first organization stays.
        """
        name = ApiKeyName.parse(request.name, "name")
        return admin_pb2.RevokeApiKeyResponse(api_key=await self._keys.revoke(name, call.principal))

    async def RotateApiKey(
        self, request: admin_pb2.RotateApiKeyRequest, call: Call
    ) -> admin_pb2.RotateApiKeyResponse:
        """Replaces a key; raises InvalidArgument, NotFound, FailedPrecondition."""
        return await self._keys.rotate(request, call.principal)

    @asynccontextmanager
    async def _transaction(self, validate_only: bool) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if validate_only:
                await transaction.rollback()


def _check_etag(given: str, found: projects.Project) -> None:
    if given not in {"", admin_messages.etag(found)}:
        raise Aborted(
            "ETAG_MISMATCH",
            "somebody has changed the project since that etag was read; read it again",
            field="project.etag",
        )


def _exists(what: str, field: str) -> AlreadyExists:
    return AlreadyExists(
        f"{what.upper()}_EXISTS", f"there is another {what} of that id", field=field
    )
