"""Servers for end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.serving import NO_RULES, Serving


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Serving]:
    """A running server that judges nothing, which starts fast."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(NO_RULES)
    with Serving(tmp_path / "data", ["--rules", str(rules)]) as serving:
        yield serving


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A running server with the default rules."""
    with Serving(tmp_path_factory.mktemp("guarded") / "data") as serving:
        yield serving
