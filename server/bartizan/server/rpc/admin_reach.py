"""What a caller of the admin service reaches. What it does not reach does not exist for it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.plugins.errors import NotFound
from bartizan.server.rpc.call import Principal
from bartizan.server.rpc.names import OrganizationName, ProjectName
from bartizan.server.store import organizations, projects


async def organization(
    connection: AsyncConnection, caller: Principal, name: OrganizationName
) -> organizations.Organization:
    """Returns an organization; raises NotFound."""
    found = await organizations.get(connection, caller.organization_id, name.organization)
    if found is None:
        raise not_found("organization")
    return found


async def project(
    connection: AsyncConnection, caller: Principal, name: ProjectName, *, lock: bool = False
) -> projects.Project:
    """Returns a project, locked until the end of the transaction if asked; raises NotFound."""
    found = await projects.get(
        connection, caller.organization_id, name.organization, name.project, lock=lock
    )
    if found is None:
        raise not_found("project")
    return found


async def parent_organization(
    connection: AsyncConnection, caller: Principal, parent: str
) -> organizations.Organization:
    """Returns the organization of a parent field, the caller's own when that is empty."""
    name = OrganizationName(caller.organization)
    if parent:
        name = OrganizationName.parse(parent, "parent")
    return await organization(connection, caller, name)


async def parent_project(
    connection: AsyncConnection, caller: Principal, parent: str
) -> projects.Project:
    """Returns the project of a parent field, the caller's own when that is empty."""
    name = ProjectName(caller.organization, caller.project)
    if parent:
        name = ProjectName.parse(parent, "parent")
    return await project(connection, caller, name)


def not_found(what: str) -> NotFound:
    """Returns the one error for what does not exist and for what others own."""
    return NotFound(
        f"{what.upper()}_NOT_FOUND",
        f"there is no {what.lower().replace('_', ' ')} of that name that this key reaches",
    )
