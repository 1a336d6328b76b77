"""The configuration of the guardrail `perspective`."""

from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from bartizan.guardrails.patterns_config import CATEGORY
from bartizan.plugins.config import PluginConfig

ENDPOINT = "https://commentanalyzer.googleapis.com"


class AttributeConfig(PluginConfig):
    """What one attribute of the service means."""

    category: str = Field(
        pattern=CATEGORY, max_length=200, description="What it is reported as: `toxicity.threat`."
    )
    threshold: float = Field(0.7, ge=0, le=1, description="The least score that counts.")


class PerspectiveConfig(PluginConfig):
    """The configuration of the guardrail `perspective`."""

    operator_keys = frozenset({"endpoint", "key_env"})

    key_env: str = Field(
        "PERSPECTIVE_API_KEY",
        # Nobody who writes rules may send other secrets of the server away.
        pattern=r"^PERSPECTIVE_[A-Z0-9_]{1,100}$",
        description="The environment variable that holds the key; its name begins with "
        "`PERSPECTIVE_`.",
    )
    endpoint: str = Field(
        ENDPOINT,
        max_length=500,
        description="Where the service is: `https://` and a host, or `http://` on this machine.",
    )
    attributes: dict[str, AttributeConfig] = Field(
        {"TOXICITY": AttributeConfig(category="toxicity.abuse")},
        min_length=1,
        max_length=20,
        validate_default=True,
        description="What is asked for, by the service's names.",
    )
    languages: tuple[str, ...] = Field(
        (), max_length=20, description="What texts are read as: `en`. Default: the service guesses."
    )
    budget_ms: int = Field(
        1_800, ge=1, le=600_000, description="How long one call may take, with all tries."
    )
    request_timeout_ms: int = Field(
        1_000, ge=1, le=60_000, description="How long one request may take."
    )
    max_retries: int = Field(
        2, ge=0, le=10, description="How often a request that failed is sent again."
    )
    max_requests: int = Field(4, ge=1, le=64, description="How many requests run at once.")
    max_pieces: int = Field(
        8,
        ge=1,
        le=1_000,
        description="How many pieces of 3,000 bytes of one text are judged, from its start.",
    )
    report_unjudged: bool = Field(
        True, description="Whether what was not judged is reported as a finding."
    )

    @field_validator("endpoint")
    @classmethod
    def _is_safe(cls, endpoint: str) -> str:
        url = urlsplit(endpoint)
        if url.path.strip("/") or url.query or url.fragment or url.username or not url.hostname:
            raise ValueError("an endpoint is https:// and a host, with or without a port")
        if url.scheme != "https" and not (url.scheme == "http" and _is_here(url.hostname)):
            raise ValueError("an endpoint on another machine begins with https://")
        return endpoint

    @model_validator(mode="after")
    def _knows_its_names(self) -> Self:
        for name in self.attributes:
            if not name.isascii() or not name.replace("_", "").isalpha() or not name.isupper():
                raise ValueError("an attribute is named in capitals: TOXICITY")
        return self


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
