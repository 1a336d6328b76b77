"""Secrets of channels: given as they are, in a file, or in an environment variable."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.notification import Cause, Permanent

MAX_SECRET_BYTES = 16 * 1_024
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,199}$"


def given(what: str) -> Any:
    """Returns the field of a secret that is given as it is."""
    return Field(None, max_length=MAX_SECRET_BYTES, description=f"{what} Kept encrypted.")


def in_file(key: str) -> Any:
    """Returns the field that names the file of secret `key`."""
    return Field(None, description=f"The file that holds `{key}`; read anew for each notification.")


def in_variable(key: str) -> Any:
    """Returns the field that names the environment variable of secret `key`."""
    return Field(None, pattern=VARIABLE, description=f"The variable that holds `{key}`.")


def sources_of(*keys: str) -> frozenset[str]:
    """Returns the keys that make the server read files or its environment: for operators only."""
    return frozenset(f"{key}_{source}" for key in keys for source in ("file", "env"))


def check_sources(config: PluginConfig, key: str, *, required: bool = True) -> None:
    """Raises ValueError unless secret `key` is given once, or not at all if it need not be."""
    names = (key, f"{key}_file", f"{key}_env")
    count = sum(getattr(config, name) is not None for name in names)
    if count > 1:
        raise ValueError(f"give one of {', '.join(names)}, not {count}")
    if required and not count:
        raise ValueError(f"give {key}_file or {key}_env")


class Secret:
    """One secret of a configuration. It is read when it is used, so a new one needs no restart."""

    def __init__(
        self, config: PluginConfig, key: str, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Reads nothing yet."""
        self._key = key
        self._given: SecretStr | None = getattr(config, key)
        self._file: Path | None = getattr(config, f"{key}_file")
        self._variable: str | None = getattr(config, f"{key}_env")
        self._environ = environ

    def __repr__(self) -> str:
        return f"Secret({self._key!r})"

    @property
    def is_set(self) -> bool:
        """Whether the configuration says where it is."""
        return not (self._given is None and self._file is None and self._variable is None)

    def reveal(self, *, ascii_only: bool = True) -> str:
        """Returns the secret, one line. May read a file.

        Raises Permanent if it is not where it should be, or is no such line.
        """
        found = self.text().strip()
        if not found or not found.isprintable() or (ascii_only and not found.isascii()):
            raise Permanent(f"the secret '{self._key}' is missing or no line of text", Cause.AUTH)
        return found

    def text(self) -> str:
        """Returns the secret as it stands there, however many lines; empty if it is missing.

        May read a file. Raises Permanent if it cannot be read.
        """
        if self._file is not None:
            return self._read(self._file)
        if self._variable is not None:
            return self._environ.get(self._variable, "")
        return self._given.get_secret_value() if self._given is not None else ""

    def _read(self, path: Path) -> str:
        found = None
        with suppress(OSError, ValueError), path.open("rb") as file:
            found = file.read(MAX_SECRET_BYTES).decode()
        if found is None:
            raise Permanent(f"'{self._key}_file' cannot be read", Cause.AUTH)
        return found
