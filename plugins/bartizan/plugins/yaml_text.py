"""YAML as people write it, and one sentence when it is none."""

import yaml

from bartizan.plugins.errors import ConfigError


def read_yaml(text: str, where: str) -> object:
    """Returns the document; an empty mapping for an empty text.

    `where` names the document in the message. Raises ConfigError if it cannot be read.
    """
    try:
        document: object = yaml.safe_load(text)
    except RecursionError:
        raise ConfigError("INVALID_YAML", f"{where}: nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError("INVALID_YAML", f"{where}: {line}this is not YAML: {problem}") from None
    except ValueError as error:
        # A date that does not exist: 2026-02-30.
        raise ConfigError("INVALID_YAML", f"{where}: this is not YAML: {error}") from None
    return {} if document is None else document
