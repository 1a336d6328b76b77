"""A rules file is read, and changes of it are noticed."""

from pathlib import Path

import pytest

from bartizan.plugins.errors import ConfigError
from bartizan.plugins.reload import RulesFile


def write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "rules.yaml"
    write(made, "rules: [{id: old, plugin: p}]")
    return made


def test_a_change_is_noticed_once(path: Path) -> None:
    rules = RulesFile(path)
    assert rules.changed()
    assert [rule.id for rule in rules.load()] == ["old"]
    assert not rules.changed()
    write(path, "rules: [{id: new, plugin: p}]")
    assert rules.changed()
    assert [rule.id for rule in rules.load()] == ["new"]
    assert not rules.changed()


@pytest.mark.parametrize("bad", ["rules: [", "rules: [{id: x}]", None])
def test_a_bad_file_is_an_error_once(path: Path, bad: str | None) -> None:
    rules = RulesFile(path)
    rules.load()
    if bad is None:
        path.unlink()
    else:
        write(path, bad)
    assert rules.changed()
    with pytest.raises(ConfigError, match=r"rules\.yaml"):
        rules.load()
    assert not rules.changed()
