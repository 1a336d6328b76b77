"""Prompt injection and jailbreaks: what users write, and what tools and documents bring in."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from bartizan.guardrails.engine.evidence import FAMILIES, matches
from bartizan.guardrails.engine.first_look import Heads
from bartizan.guardrails.engine.linear_model import WindowScore
from bartizan.guardrails.engine.normalise_view import View
from bartizan.guardrails.engine.second_cascade import Cascade, can_look_again
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Role, Text

BEYOND_CHARACTERS = 200
"""What begins in a window may end so far behind it."""

NO_FAMILY = "words"


class Head(StrEnum):
    """The models there are."""

    USER = "user"
    TOOL = "tool"


ROLES = {Role.USER: Head.USER, Role.TOOL_RESULT: Head.TOOL, Role.RETRIEVED: Head.TOOL}
"""Prompts of systems look like attacks, and what an assistant says is no request to it."""

DIRECT, INDIRECT = "injection.direct", "injection.indirect"
AIMS = {"jailbreak": "injection.jailbreak", "reveal": "injection.prompt_extraction"}
"""Families that tell what an attack is up to; the others tell how it goes about it."""

_BY_WEIGHT = sorted(FAMILIES, key=lambda family: -family.weight)
_TELLING = tuple(dict.fromkeys([*AIMS, *(family.name for family in _BY_WEIGHT)]))


class InjectionConfig(PluginConfig):
    """The configuration of the guardrail `injection`."""

    heads: tuple[Head, ...] = Field(
        tuple(Head),
        min_length=1,
        max_length=len(Head),
        description="What is looked at: `user`: what users write; `tool`: what tools and"
        " retrieval bring in.",
    )
    second_look: bool = Field(
        default_factory=can_look_again,
        description="Whether a small transformer judges what the first look does not clear in"
        " results of tools and retrieved text. On where `bartizan-models` is installed.",
    )


class Injection:
    """Finds requests that turn an assistant against those it works for.

    Categories: `injection.direct`, `injection.jailbreak`, `injection.prompt_extraction` in what
    users write, `injection.indirect` in results of tools and retrieved text. Texts of other roles
    are not looked at. The score is a calibrated probability; a text has at most one finding.
    """

    Config = InjectionConfig

    def __init__(self, config: InjectionConfig) -> None:
        """Makes the guardrail. It loads its models at `start` or at the first check."""
        heads: dict[Role, Heads] = {
            role: (f"injection_{head}",) for role, head in ROLES.items() if head in config.heads
        }
        self._looks = Cascade("injection", heads, _named, look_again=config.second_look)

    async def start(self) -> None:
        """Loads the models. Takes half a second the first time.

        Raises ImportError if the second look is asked for and not installed.
        """
        await self._looks.start()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the attack in each text, if there is one, in the order of the texts."""
        return await self._looks.at(texts)

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()


def _named(head: str, view: View, found: WindowScore) -> tuple[str, str]:
    family = _family(view.text, found.start, found.end)
    category = INDIRECT if head.endswith(Head.TOOL) else AIMS.get(family, DIRECT)
    return category, f"{head}_{family}".upper()


def _family(text: str, start: int, end: int) -> str:
    """Returns the most telling family that matches in a window."""
    size = end - start
    found = matches(text[start : end + BEYOND_CHARACTERS])
    names = {FAMILIES[match.family].name for match in found if match.start < size}
    return next((name for name in _TELLING if name in names), NO_FAMILY)
