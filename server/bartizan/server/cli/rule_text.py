"""Rules as YAML, in one form: what `rules get` prints, and what differences are made of."""

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml
from rich.text import Text

from bartizan.plugins.rules import Rule
from bartizan.server.cli.output import plain

if TYPE_CHECKING:
    from bartizan.v1 import guardrail_pb2

WIDTH = 100
CONTEXT_LINES = 3
STYLES = {"+": "green", "-": "red", "@": "cyan"}


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes texts of several lines as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def document_of(rule: "guardrail_pb2.GuardrailRule") -> dict[str, Any]:
    """Returns the document of a rule."""
    from bartizan.client import Rules

    return Rules.document_of(rule)


def as_yaml(*documents: Mapping[str, Any]) -> str:
    """Returns a rules file; the same documents always make the same one."""
    return _dump({"rules": [_ordered(one) for one in documents]})


def difference(
    before: "guardrail_pb2.GuardrailRule | None", after: "guardrail_pb2.GuardrailRule"
) -> Iterator[Text]:
    """Yields the lines that are added, taken away and around them, in colours."""
    old = _dump(_ordered(document_of(before))) if before is not None else ""
    new = _dump(_ordered(document_of(after)))
    lines = unified_diff(old.splitlines(), new.splitlines(), n=CONTEXT_LINES, lineterm="")
    # The first two lines are the names of files, which there are none of; the third is a place.
    for line in islice(lines, 3, None):
        yield Text(plain(line), style=STYLES.get(line[:1], ""))


def _dump(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def _ordered(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document with its keys as in the documentation, and those below by name."""
    known = {name: place for place, name in enumerate(Rule.model_fields)}
    keys = sorted(document, key=lambda key: (known.get(key, len(known)), key))
    return {key: _sorted(document[key]) for key in keys}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        # What it is called comes first, as people write it.
        return {
            key: _sorted(value[key]) for key in sorted(value, key=lambda one: (one != "id", one))
        }
    return [_sorted(item) for item in value] if isinstance(value, list) else value
