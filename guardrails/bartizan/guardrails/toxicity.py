"""Toxicity: abuse, hate and profanity, whoever says it."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from bartizan.guardrails.engine.first_look import Heads
from bartizan.guardrails.engine.linear_model import WindowScore
from bartizan.guardrails.engine.normalise_view import View
from bartizan.guardrails.engine.second_cascade import Cascade, can_look_again
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
    second_look: bool = Field(
        default_factory=can_look_again,
        description="Whether a small transformer judges what the first look does not clear of"
        " `abuse`. On where the package `bartizan-models` is installed.",
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
        by_role: dict[Role, Heads] = dict.fromkeys(ROLES, heads)
        self._looks = Cascade("toxicity", by_role, _named, look_again=config.second_look)

    async def start(self) -> None:
        """Loads the models. Takes half a second the first time.

        Raises ImportError if the second look is asked for and not installed.
        """
        await self._looks.start()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what is toxic in each text, in the order of the texts."""
        return await self._looks.at(texts)

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()


def _named(head: str, view: View, found: WindowScore) -> tuple[str, str]:
    return head.replace("_", "."), head.upper()
