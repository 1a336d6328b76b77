"""Toxicity: abuse, hate and profanity, whoever says it."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from bartizan.guardrails.engine.first_look import FirstLook
from bartizan.guardrails.engine.linear_model import WindowScore
from bartizan.guardrails.engine.normalise_view import View
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Role, Text


class Kind(StrEnum):
    """What is found."""

    ABUSE = "abuse"
    HATE = "hate"
    PROFANITY = "profanity"


ROLES = tuple(role for role in Role if role not in (Role.SYSTEM, Role.METADATA))
"""A prompt of a system may well quote what must not be said."""


class ToxicityConfig(PluginConfig):
    """The configuration of the guardrail `toxicity`."""

    kinds: tuple[Kind, ...] = Field(
        (Kind.ABUSE, Kind.PROFANITY),
        min_length=1,
        max_length=len(Kind),
        description="What is looked for: `abuse`, `profanity`, `hate`. Words for groups of people "
        "alone can look like hate to its model.",
    )


class Toxicity:
    """Finds what hurts or offends.

    Categories: `toxicity.abuse`: insults, threats, degradation; `toxicity.hate`: against groups of
    people; `toxicity.profanity`: profane words, meant badly or not. A text has at most one finding
    of each. The score is a calibrated probability.
    """

    Config = ToxicityConfig

    def __init__(self, config: ToxicityConfig) -> None:
        """Makes the guardrail. It loads its models at `start` or at the first check."""
        heads = tuple(f"toxicity_{kind}" for kind in dict.fromkeys(config.kinds))
        self._first_look = FirstLook("toxicity", dict.fromkeys(ROLES, heads), _named)

    async def start(self) -> None:
        """Loads the models. Takes a tenth of a second the first time."""
        await self._first_look.start()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what is toxic in each text, in the order of the texts."""
        return await self._first_look.at(texts)

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._first_look.close()


def _named(head: str, view: View, found: WindowScore) -> tuple[str, str]:
    return head.replace("_", "."), head.upper()
