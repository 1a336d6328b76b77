"""Profiles come back as they were stored, and a file that is not in order is told in a sentence."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.plugins.errors import ConfigError
from bartizan.server.cli import profile_file
from bartizan.server.cli.profile_file import Profile, Profiles

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PROFILES = st.builds(
    Profiles, TEXT, st.dictionaries(TEXT, st.builds(Profile, TEXT, TEXT, TEXT, TEXT, TEXT))
)


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "made" / "config.toml"
    monkeypatch.setenv("BARTIZAN_CONFIG", str(path))
    return path


@given(PROFILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_profiles_come_back_as_they_were(config_file: Path, profiles: Profiles) -> None:
    assert profile_file.save(profiles) == config_file
    assert profile_file.load() == profiles


def test_the_file_and_its_folder_are_private(config_file: Path) -> None:
    profile_file.save(Profiles("a", {"a": Profile("here:1", "btz_secret")}))
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(config_file.parent.stat().st_mode) == 0o700
    assert [one.name for one in config_file.parent.iterdir()] == ["config.toml"]
    assert "btz_secret" not in repr(profile_file.load())


def test_a_link_stays_a_link(config_file: Path, tmp_path: Path) -> None:
    config_file.parent.mkdir()
    config_file.symlink_to(tmp_path / "dotfiles.toml")
    profile_file.save(Profiles("a", {"a": Profile("here:1")}))
    assert config_file.is_symlink()
    assert "here:1" in (tmp_path / "dotfiles.toml").read_text()


def test_a_file_that_others_may_read_is_made_private(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile_file.save(Profiles("a", {"a": Profile("here:1")}))
    config_file.chmod(0o644)
    assert profile_file.load().current == "a"
    assert "was open to others (mode 644); it is private now." in capsys.readouterr().err
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    profile_file.load()
    assert capsys.readouterr().err == ""


def test_there_need_be_no_file(config_file: Path) -> None:
    assert profile_file.load() == Profiles()
    assert profile_file.names() == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'current = "a"\n[profiles.a]\napi_key = "btz_secret\n', "is not TOML in line 3"),
        (b'current = """btz_secret', "is not TOML at its end"),
        (b"\xff", "is not UTF-8"),
        (b"actual = 1", "there is no key 'actual', only 'current' and 'profiles'"),
        (b"current = 1", "'current' must be a text"),
        (b"profiles = 1", "'profiles' a table"),
        (b"[profiles]\na = 1", "profiles.a must be a table"),
        (b'[profiles.a]\nkey = "btz_secret"', "profiles.a has no key 'key', only endpoint"),
        (b"[profiles.a]\nendpoint = 4317", "profiles.a.endpoint must be a text"),
        (b"a = " + b"[" * 5_000, "is not TOML"),
    ],
)
def test_what_is_not_in_order_is_told_without_keys(
    config_file: Path, content: bytes, sentence: str
) -> None:
    config_file.parent.mkdir()
    config_file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        profile_file.load()
    assert sentence in raised.value.message
    assert "btz_secret" not in raised.value.message
    assert profile_file.names() == []


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BARTIZAN_CONFIG", str(tmp_path / "file" / "config.toml"))
    with pytest.raises(ConfigError, match="cannot be written"):
        profile_file.save(Profiles())


def test_it_lies_where_such_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARTIZAN_CONFIG", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert profile_file.location() == tmp_path / ".config" / "bartizan" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "x"))
    assert profile_file.location() == tmp_path / "x" / "bartizan" / "config.toml"
