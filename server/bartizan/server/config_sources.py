"""Merges what a server is told: options over environment over YAML over defaults."""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from bartizan.plugins.errors import ConfigError
from bartizan.server.config import Settings

PREFIX = "BARTIZAN_"
OTHERS_VARIABLES = (
    *("BARTIZAN_API_KEY", "BARTIZAN_ENDPOINT", "BARTIZAN_PROFILE", "BARTIZAN_CONFIG"),
    *("BARTIZAN_AGENT", "BARTIZAN_ENVIRONMENT", "BARTIZAN_SPOOL", "BARTIZAN_SAMPLE_RATE"),
    *("BARTIZAN_CAPTURE_CONTENT", "BARTIZAN_DEBUG", "BARTIZAN_ENABLED"),
)
"""Meant for clients; not a mistake in a server's environment."""
TEST_PREFIX = "BARTIZAN_TEST_"


def load(config_file: Path | None, options: Mapping[str, Any]) -> Settings:
    """Returns the settings from a YAML file, the environment and options that are not None.

    Raises:
        ConfigError: a file cannot be read, a key or variable is unknown, or a value is wrong.
    """
    document = _read(config_file) if config_file is not None else {}
    _refuse_unknown_keys(document, Settings, "", str(config_file))
    _refuse_unknown_variables(os.environ)
    given = {name: value for name, value in options.items() if value is not None}
    merged = _merge(_merge(document, EnvSettingsSource(Settings)()), given)
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise ConfigError("CONFIG_INVALID", _sentence(error)) from None


def variables(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """Yields the name of every environment variable that has a meaning for a server."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield prefix + name.upper()
        else:
            yield from variables(section, f"{prefix}{name.upper()}__")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(
            "CONFIG_UNREADABLE", f"The config file {path} cannot be read: {error.strerror}."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(
            "CONFIG_NOT_YAML", f"The config file {path} is not YAML{where}."
        ) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("CONFIG_NOT_A_MAP", f"The config file {path} must hold keys and values.")
    return document


def _refuse_unknown_keys(
    document: Mapping[Any, Any], model: type[BaseModel], path: str, file: str
) -> None:
    for key, value in document.items():
        field = model.model_fields.get(key) if isinstance(key, str) else None
        if field is None:
            nearest = _nearest(str(key), model.model_fields)
            raise ConfigError(
                "CONFIG_UNKNOWN_KEY", f"{file} has an unknown key {path}{key}; {nearest}"
            )
        section = _section(field)
        if isinstance(value, dict) and section is not None:
            _refuse_unknown_keys(value, section, f"{path}{key}.", file)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    inner = field.annotation
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = set(variables())
    for name in environ:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper.startswith(TEST_PREFIX):
            continue
        if upper not in known and upper not in OTHERS_VARIABLES:
            nearest = _nearest(upper, known)
            raise ConfigError(
                "CONFIG_UNKNOWN_VARIABLE", f"The environment variable {name} is unknown; {nearest}"
            )


def _nearest(name: str, known: Mapping[str, Any] | set[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else f"there are: {', '.join(sorted(known))}."


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            merged[key] = _merge(under, value)
        else:
            merged[key] = value
    return merged


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"The setting {name} is wrong: {what}." if name else f"The settings are wrong: {what}."
