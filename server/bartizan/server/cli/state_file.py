"""Small files that say how far a command has come, so that another run can go on from there."""

import json
import os
from pathlib import Path
from typing import Any


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, whole or not at all, readable by its owner only. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(state, file)
    new.replace(path)


def read_state(path: Path) -> dict[str, Any] | None:
    """Returns a state, or None if there is none.

    Raises ValueError when it is damaged, and OSError.
    """
    try:
        state = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if not isinstance(state, dict):
        raise ValueError("is not an object")
    return state
