"""The configuration of the guardrail `urls`."""

from enum import StrEnum

from pydantic import Field, field_validator

from bartizan.guardrails.urls.hosts import checked_host
from bartizan.plugins.config import PluginConfig

MAX_HOSTS = 10_000
MAX_LOOKALIKES = 500


class Kind(StrEnum):
    """What is found about a URL."""

    DENIED = "denied"
    NOT_ALLOWED = "not_allowed"
    LOOKALIKE = "lookalike"
    HOMOGRAPH = "homograph"
    IP = "ip"
    USER_INFO = "user_info"
    SCHEME = "scheme"
    EXFILTRATION = "exfiltration"


class UrlsConfig(PluginConfig):
    """The configuration of the guardrail `urls`."""

    allow: tuple[str, ...] = Field(
        (),
        max_length=MAX_HOSTS,
        description="The only hosts wanted: `example.com`, `*.example.com`. Default: all.",
    )
    deny: tuple[str, ...] = Field(
        (), max_length=MAX_HOSTS, description="Hosts that are not wanted, written likewise."
    )
    lookalikes_of: tuple[str, ...] = Field(
        (), max_length=MAX_LOOKALIKES, description="Hosts that others may pretend to be."
    )
    kinds: tuple[Kind, ...] = Field(
        tuple(Kind), min_length=1, description="What to look for. Default: all."
    )

    @field_validator("allow", "deny")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(checked_host, hosts))

    @field_validator("lookalikes_of")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if host.startswith("*") or "." not in host:
                raise ValueError("what is protected is a whole host: paypal.com")
        return tuple(map(checked_host, hosts))
