"""What the configurations of channels have in common."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from bartizan.alerts.notifiers.dialing import Dialer
from bartizan.alerts.notifiers.http import target_of
from bartizan.plugins.config import PluginConfig

REACH_KEYS = frozenset({"allow_private", "ca_file"})
"""Which hosts are reached and trusted is the operator's to say."""


class ChannelConfig(PluginConfig):
    """What every channel that opens connections can be told."""

    operator_keys = REACH_KEYS

    timeout_ms: int = Field(
        10_000, ge=100, le=60_000, description="How long one delivery may take."
    )
    allow_private: bool = Field(
        False,
        description="Whether addresses that are not public, and http://, may be used. "
        "Link-local addresses are never reached.",
    )
    ca_file: Path | None = Field(
        None, description="Authorities to trust instead of the system's, PEM."
    )

    def dialer(self) -> Dialer:
        """Returns what opens the connections of the channel."""
        return Dialer(allow_private=self.allow_private, ca_file=self.ca_file)

    @property
    def timeout_s(self) -> float:
        """How long one delivery may take, in seconds."""
        return self.timeout_ms / 1_000


def _is_address(url: str) -> str:
    target_of(url, allow_plain=True)
    return url


Url = Annotated[str, Field(max_length=2_000), AfterValidator(_is_address)]
"""An address that is no secret."""
