"""Every registered notifier keeps the contract: its own tests make it and run the kit."""

from pathlib import Path

import pytest

from bartizan.plugins.registry import notifiers

TESTS = Path(__file__).parents[1] / "alerts" / "notifiers"
FILES = {"email": "mail"}


@pytest.mark.parametrize("name", notifiers().names())
def test_it_runs_the_kit(name: str) -> None:
    text = (TESTS / f"test_{FILES.get(name, name)}.py").read_text()
    assert "Conformance)" in text


@pytest.mark.parametrize("name", notifiers().names())
def test_what_makes_the_server_read_files_is_the_operators(name: str) -> None:
    config = notifiers().config_type(name)
    keys = set(config.model_fields)
    read = {key for key in keys if key.endswith(("_file", "_env"))} | keys & {"allow_private"}
    assert read <= config.operator_keys
    assert config.operator_keys | config.secret_keys <= keys
    assert all(config.model_fields[key].description for key in keys)


@pytest.mark.parametrize("name", notifiers().names())
def test_a_secret_can_be_stored_or_named(name: str) -> None:
    config = notifiers().config_type(name)
    for key in config.secret_keys:
        assert {f"{key}_file", f"{key}_env"} <= set(config.model_fields)
