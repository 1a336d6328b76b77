import re
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.admin_support import refused

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.rpc.names import ApiKeyName, OrganizationName, ProjectName, check_id

ids = st.from_regex(r"\A[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z")
almost = st.text(alphabet="organizationsprojectsapiKeys/-A1\n", max_size=80)


class Name(Protocol):
    """A kind of name."""

    @classmethod
    def parse(cls, name: str, field: str) -> object: ...


@given(ids, ids, ids)
def test_what_is_made_is_read_back(one: str, two: str, three: str) -> None:
    key = ApiKeyName(one, two, three)
    assert ApiKeyName.parse(str(key), "name") == key
    assert ProjectName.parse(str(key.parent), "name") == (one, two)
    assert OrganizationName.parse(str(OrganizationName(one)), "name") == (one,)


@given(st.one_of(st.text(), almost), st.sampled_from([OrganizationName, ProjectName, ApiKeyName]))
def test_what_is_read_is_the_name_itself_or_refused(text: str, kind: type[Name]) -> None:
    try:
        name = kind.parse(text, "the.field")
    except InvalidArgument as error:
        name = None
        refusal = (error.reason, error.field)
    assert (str(name) == text) if name is not None else refusal == ("BAD_NAME", "the.field")


@given(st.one_of(st.text(max_size=70), ids))
def test_ids_are_those_of_the_contract(text: str) -> None:
    fits = re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", text) and len(text) <= 63
    try:
        assert check_id(text, "id") == text
    except InvalidArgument:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize(
    "name",
    [
        "",
        "organizations",
        "organizations/",
        "organizations/a/",
        "/organizations/a",
        "organizations/A",
        "organizations/a/projects",
        "organizations/a/projects/",
        "organizations/a/projects/b/apiKeys/c",
        "projects/a/organizations/b",
        "organizations/a/projects/b\n",
        "organizations/../projects/b",
        "organizations/a%2Fb/projects/c",
        "organizations/-/projects/b",
        f"organizations/{'a' * 64}/projects/b",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with refused(InvalidArgument, "BAD_NAME", "name"):
        ProjectName.parse(name, "name")


@pytest.mark.parametrize("value", ["", "A", "1a", "a-", "-a", "a_b", "a" * 64, "é", "a\n"])
def test_other_ids_are_refused(value: str) -> None:
    with refused(InvalidArgument, "BAD_ID", "project_id"):
        check_id(value, "project_id")
