"""The config file of the command line: a server and a key under each name."""

import json
import os
import re
import stat
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bartizan.plugins.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PRIVATE_DIR = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Profile:
    """A server, and as whom and how to reach it. What is empty is not said."""

    endpoint: str = ""
    api_key: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(slots=True)
class Profiles:
    """All profiles, by name; `current` is the name of the one that is taken when none is told."""

    current: str = ""
    by_name: dict[str, Profile] = field(default_factory=dict)

    def get(self, name: str) -> Profile:
        """Returns a profile; raises ConfigError with the names there are when it is not there."""
        if name in self.by_name:
            return self.by_name[name]
        there = f"there are {', '.join(sorted(self.by_name))}" if self.by_name else "there are none"
        raise ConfigError(
            "PROFILE_UNKNOWN",
            f"There is no profile {name!r}; {there}. 'bartizan login --profile {name}' makes it.",
        )


def location() -> Path:
    """Returns where the config file is, whether it exists or not."""
    if told := os.environ.get("BARTIZAN_CONFIG"):
        return Path(told)
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "bartizan" / "config.toml"


def names() -> list[str]:
    """Returns the names of all profiles, and none when they cannot be read. Changes nothing."""
    try:
        return sorted(_parse(location().read_bytes(), location()).by_name)
    except (OSError, ConfigError, RuntimeError):
        return []


def load() -> Profiles:
    """Returns what the config file holds, nothing if there is none.

    A file that others may read is made private, and that is said on standard error.

    Raises:
        ConfigError: it cannot be read, is not of its form, or cannot be made private.
    """
    try:
        path = location()
        document = path.read_bytes()
        mode = path.stat().st_mode
    except (FileNotFoundError, RuntimeError):  # RuntimeError: this user has no home
        return Profiles()
    except OSError as error:
        raise ConfigError(
            "CONFIG_UNREADABLE", f"The config file {path} cannot be read: {error.strerror}."
        ) from None
    if os.name == "posix" and mode & OTHERS:
        _make_private(path, mode)
    return _parse(document, path)


def save(profiles: Profiles) -> Path:
    """Writes the config file anew, whole or not at all, and returns where.

    Raises:
        ConfigError: it cannot be written.
    """
    path = location()
    try:
        # A file that is a link stays one.
        path = path.resolve()
        path.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        _replace(path, _render(profiles).encode())
    except (OSError, UnicodeEncodeError) as error:
        why = getattr(error, "strerror", None) or "a value is not Unicode"
        raise ConfigError(
            "CONFIG_UNWRITABLE", f"The config file {path} cannot be written: {why}."
        ) from None
    return path


def check_name(name: str) -> str:
    """Returns the name; raises ConfigError unless it can name a new profile."""
    if not NAME.fullmatch(name):
        raise ConfigError(
            "PROFILE_NAME",
            f"A profile's name has 1 to 64 letters, digits, dots, hyphens and underscores and "
            f"begins with a letter or digit, unlike {name!r}.",
        )
    return name


def _make_private(path: Path, mode: int) -> None:
    try:
        path.chmod(stat.S_IMODE(mode) & ~OTHERS)
    except OSError as error:
        raise ConfigError(
            "CONFIG_NOT_PRIVATE",
            f"The config file {path} holds keys and is open to others (mode "
            f"{stat.S_IMODE(mode):o}), which cannot be changed: {error.strerror}.",
        ) from None
    print(  # noqa: T201
        f"bartizan: The config file {path} was open to others (mode {stat.S_IMODE(mode):o}); "
        "it is private now.",
        file=sys.stderr,
    )


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _parse(document: bytes, path: Path) -> Profiles:
    try:
        content = tomllib.loads(document.decode())
    except UnicodeDecodeError:
        raise ConfigError("CONFIG_NOT_TOML", f"The config file {path} is not UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # Only where it is: the text of the error may quote a key.
        line = re.search(r"at line (\d+)", str(error))
        where = f"in line {line[1]}" if line else "at its end"
        raise ConfigError(
            "CONFIG_NOT_TOML", f"The config file {path} is not TOML {where}."
        ) from None
    try:
        return _profiles(content)
    except ValueError as error:
        raise ConfigError(
            "CONFIG_INVALID", f"The config file {path} is not in order: {error}."
        ) from None


def _profiles(content: Mapping[str, Any]) -> Profiles:
    if unknown := set(content) - {"current", "profiles"}:
        raise ValueError(f"there is no key {min(unknown)!r}, only 'current' and 'profiles'")
    current, tables = content.get("current", ""), content.get("profiles", {})
    if not isinstance(current, str) or not isinstance(tables, dict):
        raise ValueError("'current' must be a text and 'profiles' a table")
    return Profiles(current, {name: _profile(name, table) for name, table in tables.items()})


def _profile(name: str, table: object) -> Profile:
    if not isinstance(table, dict):
        raise ValueError(f"profiles.{name} must be a table")
    known = [one.name for one in fields(Profile)]
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"profiles.{name} has no key {key!r}, only {', '.join(known)}")
        if not isinstance(value, str):
            raise ValueError(f"profiles.{name}.{key} must be a text")
    return Profile(**table)


def _render(profiles: Profiles) -> str:
    lines = [f"current = {_quote(profiles.current)}"] if profiles.current else []
    for name, profile in profiles.by_name.items():
        lines += ["", f"[profiles.{_quote(name)}]"]
        lines += [f"{key} = {_quote(value)}" for key, value in asdict(profile).items() if value]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    # A JSON string is a TOML string, but for the one control character that JSON does not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
