"""Rules as people keep them: YAML files, and folders of them."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import Rule, load_rules

STANDARD_INPUT = "-"
SUFFIXES = (".yaml", ".yml")
_RULE = re.compile(r"rules\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Written:
    """One rule as it is written, and where: `rules/cards.yaml, line 3`."""

    where: str
    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The rule's id."""
        return str(self.document["id"])

    def is_meant(self, problem: str) -> bool:
        """Tells whether a problem that the server has is with this rule."""
        plugin = self.document.get("plugin")
        return f"rule '{self.id}'" in problem or f"no guardrail '{plugin}'" in problem


def read_all(names: Iterable[str]) -> list[Written]:
    """Returns the rules of files and folders, in the order of the names.

    Raises ConfigError with one sentence that says where, if a file cannot be read, is wrong, or has
    a rule that another one has, too.
    """
    found: dict[str, Written] = {}
    for path in dict.fromkeys(path for name in names for path in _files(name)):
        for one in _read(path):
            if one.id in found:
                raise ConfigError(
                    "DUPLICATE_RULE",
                    f"{one.where}: the rule '{one.id}' is in {found[one.id].where}, too.",
                )
            found[one.id] = one
    return list(found.values())


def _files(name: str) -> Sequence[str]:
    """Returns the files that are meant; hidden ones in a folder are not."""
    folder = Path(name)
    if name == STANDARD_INPUT or not folder.is_dir():
        return [name]
    files = [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise ConfigError("NO_RULES", f"The folder {name} holds no .yaml or .yml file.")
    return files


def _read(name: str) -> Iterator[Written]:
    text, where = _text(name)
    try:
        load_rules(text, where)
    except ConfigError as error:
        # Another file, or the server, may have a rule that is named and not here.
        if error.reason != "UNKNOWN_RULE":
            raise _located(error, text, where) from None
    for line, document in _documents(text):
        yield Written(f"{where}, line {line}", document)


def _text(name: str) -> tuple[str, str]:
    where = "standard input" if name == STANDARD_INPUT else name
    try:
        data = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
        return data.decode(), where
    except UnicodeDecodeError:
        raise ConfigError("RULES_UNREADABLE", f"{where} is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(
            "RULES_UNREADABLE", f"{where} cannot be read: {error.strerror}."
        ) from None


def _documents(text: str) -> Iterator[tuple[int, Any]]:
    """Yields what stands under `rules`, each with its line."""
    root = yaml.compose(text, yaml.SafeLoader)
    lines: list[int] = []
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "rules" and isinstance(value, yaml.SequenceNode):
                lines = [one.start_mark.line + 1 for one in value.value]
    yield from zip(lines, (yaml.safe_load(text) or {}).get("rules") or (), strict=True)


def _located(error: ConfigError, text: str, where: str) -> ConfigError:
    """Returns an error that names line and id of the rule that is wrong, if one is."""
    match = _RULE.match(error.field)
    if match is None:
        return error
    line, document = list(_documents(text))[int(match[1])]
    name = document.get("id") if isinstance(document, dict) else None
    rule = f", rule '{name}'" if isinstance(name, str) else ""
    try:
        parse_config(Rule, document, f"{where}, line {line}{rule}")
    except ConfigError as told:
        return told
    return error
