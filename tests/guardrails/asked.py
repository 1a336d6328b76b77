"""Asks guardrails about texts, and what all their tests have in common."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from bartizan.plugins.config import PluginConfig, parse_config
from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.runner import checked

anything = st.text(st.characters(exclude_categories=()), max_size=200)
"""Any text there is, lone surrogates too."""


def asked(guardrail: Guardrail, value: str, role: Role = Role.USER) -> list[Finding]:
    """Returns what is found in a text, after checking that it can be."""
    texts = [Text(role, value)]
    results = asyncio.run(guardrail.check(texts))
    checked(texts, results)
    return list(results[0])


def cut(guardrail: Guardrail, value: str, role: Role = Role.USER) -> list[tuple[str, str]]:
    """Returns the category of each finding, and what it covers."""
    return [(one.category, value[one.start : one.end]) for one in asked(guardrail, value, role)]


def refused(model: type[PluginConfig], **document: object) -> str:
    """Returns why a configuration is refused."""
    with pytest.raises(ConfigError) as raised:
        parse_config(model, document, "rule")
    return str(raised.value)


def grows_with_the_text(look: Callable[[str], object], piece: str, characters: int = 8_000) -> bool:
    """Returns False if eight times the text takes much more than eight times as long."""
    small, large = (piece * (size // len(piece)) for size in (characters, 8 * characters))
    look(small)
    return _spent(look, large) < 24 * _spent(look, small) + 0.05


def _spent(look: Callable[[str], object], text: str) -> float:
    def once() -> float:
        before = time.process_time()
        look(text)
        return time.process_time() - before

    return min(once() for _ in range(2))
