"""Settings that are given as arguments or as environment variables."""

from __future__ import annotations

import os

from bartizan.client._calls.errors import InvalidArgument

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def flag(name: str, given: bool | None, variable: str, default: bool) -> bool:
    """Returns a truth value; raises InvalidArgument when the variable holds none."""
    told = text(None, variable).strip().lower()
    if given is not None:
        return given
    if not told:
        return default
    if told not in _TRUE + _FALSE:
        raise InvalidArgument(f"{variable} must be true or false.", field=name)
    return told in _TRUE


def share(name: str, given: float | None, variable: str) -> float:
    """Returns a number from 0 to 1, 1 by default; raises InvalidArgument for any other."""
    try:
        value = float(given if given is not None else text(None, variable).strip() or 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise InvalidArgument(f"{name} ({variable}) must be a number from 0 to 1.", field=name)
    return value


def text(given: str | None, variable: str) -> str:
    """Returns a text, empty by default."""
    return given if given is not None else os.environ.get(variable, "")
