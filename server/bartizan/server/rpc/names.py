"""Resource names: what they look like, and how they are read and made."""

import re
from typing import NamedTuple, Self

from bartizan.plugins.errors import InvalidArgument

_ID_FORM = re.compile("[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check_id(value: str, field: str) -> str:
    """Returns the last part of a new name; raises InvalidArgument for one of another form."""
    if not _ID_FORM.fullmatch(value):
        raise InvalidArgument(
            "BAD_ID",
            "an id has 1 to 63 lower-case letters, digits and hyphens, begins with a letter and "
            "does not end with a hyphen",
            field=field,
        )
    return value


class OrganizationName(NamedTuple):
    """organizations/{organization}"""

    organization: str

    @classmethod
    def parse(cls, name: str, field: str) -> Self:
        """Reads a name; raises InvalidArgument."""
        return cls(*_parts(name, ("organizations",), field))

    def __str__(self) -> str:
        return f"organizations/{self.organization}"


class ProjectName(NamedTuple):
    """organizations/{organization}/projects/{project}"""

    organization: str
    project: str

    @classmethod
    def parse(cls, name: str, field: str) -> Self:
        """Reads a name; raises InvalidArgument."""
        return cls(*_parts(name, ("organizations", "projects"), field))

    def __str__(self) -> str:
        return f"organizations/{self.organization}/projects/{self.project}"


class ApiKeyName(NamedTuple):
    """organizations/{organization}/projects/{project}/apiKeys/{api_key}"""

    organization: str
    project: str
    api_key: str

    @classmethod
    def parse(cls, name: str, field: str) -> Self:
        """Reads a name; raises InvalidArgument."""
        return cls(*_parts(name, ("organizations", "projects", "apiKeys"), field))

    @property
    def parent(self) -> ProjectName:
        """The project that the key belongs to."""
        return ProjectName(self.organization, self.project)

    def __str__(self) -> str:
        return f"{self.parent}/apiKeys/{self.api_key}"


class GuardrailRuleName(NamedTuple):
    """organizations/{organization}/projects/{project}/guardrailRules/{rule}"""

    organization: str
    project: str
    rule: str

    @classmethod
    def parse(cls, name: str, field: str) -> Self:
        """Reads a name; raises InvalidArgument."""
        return cls(*_parts(name, ("organizations", "projects", "guardrailRules"), field))

    @property
    def parent(self) -> ProjectName:
        """The project that the rule belongs to."""
        return ProjectName(self.organization, self.project)

    def __str__(self) -> str:
        return f"{self.parent}/guardrailRules/{self.rule}"


def _parts(name: str, collections: tuple[str, ...], field: str) -> list[str]:
    parts = name.split("/")
    ids = parts[1::2]
    if tuple(parts[::2]) != collections or len(ids) != len(collections):
        raise _bad_name(collections, field)
    if not all(map(_ID_FORM.fullmatch, ids)):
        raise _bad_name(collections, field)
    return ids


def _bad_name(collections: tuple[str, ...], field: str) -> InvalidArgument:
    form = "/".join(f"{collection}/ID" for collection in collections)
    message = f"this is the name of something else, or of nothing; it must look like {form}"
    return InvalidArgument("BAD_NAME", message, field=field)
