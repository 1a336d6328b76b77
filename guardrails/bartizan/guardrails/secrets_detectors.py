"""All that finds secrets, and the categories of what it finds."""

from collections.abc import Iterable

from bartizan.guardrails import secrets_assignments, secrets_blocks, secrets_places
from bartizan.guardrails.secrets_checks import STRUCTURE
from bartizan.guardrails.secrets_formats import ANYWHERE, CLOUDS, CODE
from bartizan.guardrails.secrets_found import Basis, Detector, Found
from bartizan.guardrails.secrets_services import MESSAGES, MODELS, MONITORING, PAYMENT, WORK

FORMATS = (*CLOUDS, *CODE, *ANYWHERE, *MODELS, *MESSAGES, *PAYMENT, *MONITORING, *WORK)

DETECTORS: tuple[Detector, ...] = (
    *(one.detector() for one in FORMATS),
    *secrets_blocks.DETECTORS,
    *secrets_places.DETECTORS,
    *secrets_assignments.DETECTORS,
)

CATEGORIES = frozenset(category for one in DETECTORS for category in one.categories)


def detectors(categories: Iterable[str]) -> list[Detector]:
    """Returns what may find one of the categories."""
    wanted = set(categories)
    return [one for one in DETECTORS if one.categories & wanted]


def own(category: str, pattern: str) -> Detector:
    """Returns what finds the matches of an expression of RE2."""

    def look(_: str, start: int, end: int) -> Found:
        return Found(category, start, end, STRUCTURE, Basis.OWN)

    return Detector(frozenset({category}), pattern, look)
