from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tests.server.admin_support import House, refused, stranger

from bartizan.plugins.errors import (
    Aborted,
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from bartizan.server import __version__
from bartizan.server.rpc.admin import AdminService
from bartizan.server.rpc.call import Call, Scope
from bartizan.server.rpc.methods import methods_of
from bartizan.v1 import admin_pb2 as pb

pytest_plugins = ["tests.server.admin_fixtures"]

DEFAULT = "organizations/default/projects/default"


async def create(
    house: House, call: Call, project_id: str, parent: str = "", **fields: Any
) -> pb.Project:
    request = pb.CreateProjectRequest(
        parent=parent, project_id=project_id, project=pb.Project(**fields)
    )
    return (await house.admin.CreateProject(request, call)).project


async def update(
    house: House, call: Call, *mask: str, validate_only: bool = False, **fields: Any
) -> pb.Project:
    project = pb.Project(**({"name": DEFAULT} | fields))
    request = pb.UpdateProjectRequest(
        project=project,
        update_mask=FieldMask(paths=mask) if mask else None,
        validate_only=validate_only,
    )
    return (await house.admin.UpdateProject(request, call)).project


async def get(house: House, call: Call, name: str = DEFAULT) -> pb.Project:
    return (await house.admin.GetProject(pb.GetProjectRequest(name=name), call)).project


def days(count: float) -> timedelta:
    return timedelta(days=count)


async def test_everything_but_who_am_i_needs_the_scope_admin(house: House) -> None:
    scopes = {method.rpc: method.scope for method in methods_of(house.admin)}
    assert scopes.pop("WhoAmI") is None
    assert set(scopes.values()) == {Scope.SCOPE_ADMIN}
    assert len(scopes) == 11


async def test_a_key_is_told_whose_it_is(house: House) -> None:
    answer = await house.admin.WhoAmI(pb.WhoAmIRequest(), await house.caller())
    assert answer.project == DEFAULT
    assert answer.api_key.name.startswith(f"{DEFAULT}/apiKeys/k")
    assert answer.api_key.prefix == house.first_secret[:10]
    assert answer.server_version == __version__
    assert house.first_secret not in str(answer)


async def test_without_a_key_there_is_none_to_show(house: House) -> None:
    call = Call("m", stranger(), {})
    answer = await house.admin.WhoAmI(pb.WhoAmIRequest(), call)
    assert not answer.HasField("api_key")


async def test_a_project_is_made_with_defaults_and_read_back(house: House) -> None:
    call = await house.caller()
    made = await create(house, call, "checkout")
    assert made.name == "organizations/default/projects/checkout"
    assert made.retention.ToTimedelta() == days(365)
    assert made.create_time.ToDatetime() == house.clock.now.replace(tzinfo=None)
    assert made.uid
    assert await get(house, call, made.name) == made


async def test_a_project_has_what_was_asked_for(house: House) -> None:
    made = await create(
        house,
        await house.caller(),
        "checkout",
        parent="organizations/default",
        display_name="Kasse ✓",
        retention=days(3650),
        max_spans_per_second=2**63 - 1,
    )
    assert made.display_name == "Kasse ✓"
    assert made.retention.ToTimedelta() == days(3650)
    assert made.max_spans_per_second == 2**63 - 1


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"display_name": "x" * 129}, "BAD_DISPLAY_NAME", "project.display_name"),
        ({"display_name": "a\0b"}, "BAD_DISPLAY_NAME", "project.display_name"),
        ({"display_name": "a\nb"}, "BAD_DISPLAY_NAME", "project.display_name"),
        ({"retention": days(0)}, "BAD_RETENTION", "project.retention"),
        ({"retention": days(-1)}, "BAD_RETENTION", "project.retention"),
        ({"retention": days(1.5)}, "BAD_RETENTION", "project.retention"),
        ({"retention": days(3651)}, "BAD_RETENTION", "project.retention"),
        (
            {"max_spans_per_second": -1},
            "BAD_MAX_SPANS_PER_SECOND",
            "project.max_spans_per_second",
        ),
    ],
)
async def test_wrong_fields_of_a_project_are_named(
    house: House, fields: dict[str, Any], reason: str, field: str
) -> None:
    call = await house.caller()
    with refused(InvalidArgument, reason, field):
        await create(house, call, "checkout", **fields)
    with refused(InvalidArgument, reason, field):
        await update(house, call, *fields, **fields)


async def test_durations_beyond_every_calendar_are_refused(house: House) -> None:
    call = await house.caller()
    for seconds, nanos in ((2**63 - 1, 0), (-(2**63), 0), (86_400, 1)):
        project = pb.Project()
        project.retention.seconds, project.retention.nanos = seconds, nanos
        with refused(InvalidArgument, "BAD_RETENTION", "project.retention"):
            await create(house, call, "checkout", retention=project.retention)


async def test_ids_are_checked_and_taken_once(house: House) -> None:
    call = await house.caller()
    with refused(InvalidArgument, "BAD_ID", "project_id"):
        await create(house, call, "Check out")
    await create(house, call, "checkout")
    with refused(AlreadyExists, "PROJECT_EXISTS", "project_id"):
        await create(house, call, "checkout")
    request = pb.CreateOrganizationRequest(organization_id="default")
    with refused(AlreadyExists, "ORGANIZATION_EXISTS", "organization_id"):
        await house.admin.CreateOrganization(request, call)
    with refused(InvalidArgument, "BAD_ID", "organization_id"):
        await house.admin.CreateOrganization(pb.CreateOrganizationRequest(), call)


async def test_only_checking_changes_nothing(house: House) -> None:
    call = await house.caller()
    before = await get(house, call)
    organization = pb.CreateOrganizationRequest(organization_id="acme", validate_only=True)
    assert (await house.admin.CreateOrganization(organization, call)).organization.name
    project = pb.CreateProjectRequest(project_id="checkout", validate_only=True)
    assert (await house.admin.CreateProject(project, call)).project.name
    checked = await update(house, call, display_name="New", validate_only=True)
    assert checked.display_name == "New"
    assert await get(house, call) == before
    assert house.forgotten == []
    with refused(NotFound, "PROJECT_NOT_FOUND"):
        await get(house, call, "organizations/default/projects/checkout")
    with refused(NotFound, "ORGANIZATION_NOT_FOUND"):
        await create(house, call, "checkout", parent="organizations/acme")
    with refused(AlreadyExists, "PROJECT_EXISTS", "project_id"):
        again = pb.CreateProjectRequest(project_id="default", validate_only=True)
        await house.admin.CreateProject(again, call)


async def test_an_update_without_a_mask_changes_what_is_set(house: House) -> None:
    call = await house.caller()
    await update(house, call, display_name="Shop", retention=days(30))
    house.clock.advance(minutes=1)
    changed = await update(house, call, max_spans_per_second=7)
    assert changed.display_name == "Shop"
    assert changed.retention.ToTimedelta() == days(30)
    assert changed.max_spans_per_second == 7
    assert changed.update_time.ToDatetime() == house.clock.now.replace(tzinfo=None)
    assert changed == await get(house, call)


async def test_an_update_with_a_mask_changes_what_it_names_alone(house: House) -> None:
    call = await house.caller()
    await update(house, call, display_name="Shop", retention=days(30), max_spans_per_second=7)
    changed = await update(house, call, "retention", display_name="Ignored")
    assert changed.display_name == "Shop"
    assert changed.retention.ToTimedelta() == days(365)
    changed = await update(house, call, "*", display_name="All")
    assert (changed.display_name, changed.max_spans_per_second) == ("All", 0)


@pytest.mark.parametrize("path", ["name", "uid", "etag", "nothing", "retention.seconds", ""])
async def test_other_paths_in_a_mask_are_refused(house: House, path: str) -> None:
    with refused(InvalidArgument, "BAD_UPDATE_MASK", "update_mask"):
        await update(house, await house.caller(), "display_name", path)


async def test_an_update_of_what_somebody_else_changed_is_aborted(house: House) -> None:
    call = await house.caller()
    read = await get(house, call)
    changed = await update(house, call, display_name="Mine", etag=read.etag)
    assert changed.etag != read.etag
    with refused(Aborted, "ETAG_MISMATCH", "project.etag"):
        await update(house, call, display_name="Theirs", etag=read.etag)
    assert (await get(house, call)).display_name == "Mine"


async def test_a_new_quota_reaches_the_keys_at_once(house: House) -> None:
    call = await house.caller()
    await update(house, call, max_spans_per_second=9)
    assert house.forgotten == ["project:1"]
    assert (await house.caller()).principal.max_spans_per_second == 9


@pytest.mark.parametrize("size", [0, 1, 2, 1000, 5000])
async def test_projects_are_listed_by_name(house: House, size: int) -> None:
    call = await house.caller()
    for project_id in ("b", "a-b", "ab", "a", "z9"):
        await create(house, call, project_id)
    names, request = [], pb.ListProjectsRequest(page_size=size)
    while True:
        page = await house.admin.ListProjects(request, call)
        names += [project.name.rsplit("/", 1)[1] for project in page.projects]
        assert 0 < len(page.projects) <= (size or 50)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == ["a", "a-b", "ab", "b", "default", "z9"]


async def test_pages_are_bound_to_their_list(house: House) -> None:
    acme = await house.tenant("acme")
    call = await house.caller()
    await create(house, call, "checkout")
    page = await house.admin.ListProjects(pb.ListProjectsRequest(page_size=1), call)
    assert page.next_page_token
    for caller, parent in ((acme, ""), (call, "organizations/acme")):
        request = pb.ListProjectsRequest(parent=parent, page_token=page.next_page_token)
        with pytest.raises(InvalidArgument) as caught:
            await house.admin.ListProjects(request, caller)
        assert caught.value.field == "page_token"
    elsewhere = pb.ListOrganizationsRequest(page_token=page.next_page_token)
    with pytest.raises(InvalidArgument):
        await house.admin.ListOrganizations(elsewhere, call)
    with refused(InvalidArgument, "BAD_PAGE_SIZE", "page_size"):
        await house.admin.ListProjects(pb.ListProjectsRequest(page_size=-1), call)


async def test_the_first_organization_makes_and_sees_all(house: House) -> None:
    call = await house.caller()
    request = pb.CreateOrganizationRequest(
        organization_id="acme", organization=pb.Organization(display_name="Acme Ltd")
    )
    made = (await house.admin.CreateOrganization(request, call)).organization
    assert (made.name, made.display_name) == ("organizations/acme", "Acme Ltd")
    got = await house.admin.GetOrganization(pb.GetOrganizationRequest(name=made.name), call)
    assert got.organization == made
    first = await house.admin.ListOrganizations(pb.ListOrganizationsRequest(page_size=1), call)
    rest = pb.ListOrganizationsRequest(page_token=first.next_page_token)
    second = await house.admin.ListOrganizations(rest, call)
    found = [*first.organizations, *second.organizations]
    assert [one.name for one in found] == ["organizations/acme", "organizations/default"]
    assert second.next_page_token == ""


async def test_another_organization_sees_itself_alone(house: House) -> None:
    await house.tenant("zebra")
    acme = await house.tenant("acme")
    listed = await house.admin.ListOrganizations(pb.ListOrganizationsRequest(), acme)
    assert [one.name for one in listed.organizations] == ["organizations/acme"]
    projects = await house.admin.ListProjects(pb.ListProjectsRequest(), acme)
    assert [one.name for one in projects.projects] == ["organizations/acme/projects/acme"]
    made = await create(house, acme, "second")
    assert made.name == "organizations/acme/projects/second"
    request = pb.CreateOrganizationRequest(organization_id="more")
    with refused(PermissionDenied, "FIRST_ORGANIZATION_ONLY"):
        await house.admin.CreateOrganization(request, acme)
    taken = pb.CreateOrganizationRequest(organization_id="zebra")
    with refused(PermissionDenied, "FIRST_ORGANIZATION_ONLY"):
        await house.admin.CreateOrganization(taken, acme)


Attempt = Callable[[AdminService, Call, str], Awaitable[object]]

ATTEMPTS: list[Attempt] = [
    lambda admin, call, org: admin.GetOrganization(
        pb.GetOrganizationRequest(name=f"organizations/{org}"), call
    ),
    lambda admin, call, org: admin.ListProjects(
        pb.ListProjectsRequest(parent=f"organizations/{org}"), call
    ),
    lambda admin, call, org: admin.CreateProject(
        pb.CreateProjectRequest(parent=f"organizations/{org}", project_id=org), call
    ),
    lambda admin, call, org: admin.GetProject(
        pb.GetProjectRequest(name=f"organizations/{org}/projects/{org}"), call
    ),
    lambda admin, call, org: admin.UpdateProject(
        pb.UpdateProjectRequest(
            project=pb.Project(name=f"organizations/{org}/projects/{org}", display_name="x")
        ),
        call,
    ),
    lambda admin, call, org: admin.CreateApiKey(
        pb.CreateApiKeyRequest(
            parent=f"organizations/{org}/projects/{org}",
            api_key=pb.ApiKey(scopes=[pb.SCOPE_ADMIN]),
        ),
        call,
    ),
    lambda admin, call, org: admin.ListApiKeys(
        pb.ListApiKeysRequest(parent=f"organizations/{org}/projects/{org}"), call
    ),
    lambda admin, call, org: admin.RevokeApiKey(
        pb.RevokeApiKeyRequest(name=f"organizations/{org}/projects/{org}/apiKeys/{org}"), call
    ),
    lambda admin, call, org: admin.RotateApiKey(
        pb.RotateApiKeyRequest(name=f"organizations/{org}/projects/{org}/apiKeys/{org}"), call
    ),
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_what_others_own_looks_like_nothing(house: House, attempt: Attempt) -> None:
    acme = await house.tenant("acme")
    await house.tenant("zebra")
    answers = []
    for organization in ("zebra", "default", "missing"):
        with pytest.raises(NotFound) as caught:
            await attempt(house.admin, acme, organization)
        error = caught.value
        answers.append((error.reason, error.message, error.field, error.metadata))
    assert answers[0] == answers[1] == answers[2]
