"""Writes the tables in docs/ that are made of the code: `python scripts/docs.py [--check]`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. With `--check` nothing is written,
and the exit code is 1 when a table no longer says what the code says.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from bartizan.guardrails.pii import PiiConfig
from bartizan.guardrails.pii_entities import ENTITIES
from bartizan.plugins.durations import format_duration
from bartizan.plugins.errors import Code
from bartizan.plugins.rules import Rule, Where
from bartizan.server import cli
from bartizan.server.cli.options import Server
from bartizan.server.config import Settings
from bartizan.server.ingest.semconv import table
from bartizan.server.metrics import describe
from bartizan.server.rpc.status import TABLE
from bartizan.v1 import common_pb2

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"(?<=<!-- table: )([a-z-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

Rows = Iterable[Sequence[str]]


def markdown(titles: Sequence[str], rows: Rows) -> str:
    """Returns a table; pipes in cells are escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def settings() -> str:
    """Returns every setting of a server, with its variable, default and bounds."""
    titles = ("key in the file", "environment variable", "default", "meaning")
    return markdown(titles, _settings(Settings, "", "BARTIZAN_"))


def _settings(model: type[BaseModel], path: str, variable: str) -> Iterator[Sequence[str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, f"{path}{name}.", f"{variable}{name.upper()}__")
            continue
        yield (
            f"`{path}{name}`",
            f"`{variable}{name.upper()}`",
            _code(_shown(field)),
            f"{field.description}{_bounds(field)}",
        )


def _shown(field: FieldInfo) -> str:
    """Returns a default as a person writes it in YAML; nothing for one that is not set."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == () or value == {}:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable().replace(".0", "")
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"[{', '.join(map(str, value))}]"
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _bounds(field: FieldInfo) -> str:
    """Returns what a value may be, as far as the field says it."""
    found = {key: value for one in field.metadata for key, value in _bound(one)}
    if "ge" in found and "le" in found:
        return f" {_number(found['ge'], field)} to {_number(found['le'], field)}."
    choices = ", ".join(f"`{choice}`" for choice in _choices(field.annotation))
    return f" {choices}." if choices else ""


def _choices(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        yield from kind
    elif get_origin(kind) is Literal:
        yield from get_args(kind)
    else:
        for part in get_args(kind):
            yield from _choices(part)


def _bound(one: object) -> Iterator[tuple[str, Any]]:
    for key in ("ge", "le"):
        if hasattr(one, key):
            yield key, getattr(one, key)


def _number(value: Any, field: FieldInfo) -> str:
    if isinstance(field.default, ByteSize):
        return ByteSize(value).human_readable().replace(".0", "")
    return f"{value:,}"


def rules() -> str:
    """Returns every key of a rule."""
    return markdown(("key", "default", "meaning"), _keys(Rule, ""))


def _keys(model: type[BaseModel], path: str) -> Iterator[Sequence[str]]:
    for name, field in model.model_fields.items():
        if field.annotation is Where:
            yield from _keys(Where, f"{path}{name}.")
            continue
        default = "required" if field.is_required() else _code(_shown(field))
        yield f"`{path}{name}`", default, f"{field.description}{_bounds(field)}"


def pii_keys() -> str:
    """Returns every key of the guardrail `pii`."""
    return markdown(("key", "default", "meaning"), _keys(PiiConfig, ""))


def entities() -> str:
    """Returns the kinds of personal data that the guardrail `pii` can find."""
    rows = (
        (
            f"`{name}`",
            f"`pii.{name.lower()}`",
            "**on**" if one.on else "off",
            f"{one.threshold:g}",
            "" if one.alone >= one.threshold else "only beside a telling word",
        )
        for name, one in sorted(ENTITIES.items(), key=lambda item: (not item[1].on, item[0]))
    )
    return markdown(("entity", "category", "by default", "threshold", "found"), rows)


def error_codes() -> str:
    """Returns how each error looks at each door."""
    rows = (
        (f"`{code.name}`", f"`{faces.connect.value}`", str(faces.http.value))
        for code, faces in ((code, TABLE[code]) for code in Code)
    )
    return markdown(("gRPC", "Connect", "HTTP"), rows)


FIELD_NAMES = {
    table.AGENT: "agent", table.ENVIRONMENT: "environment", table.MODEL: "model",
    table.PROVIDER: "provider", table.MACHINE: "machine", table.WORKSPACE: "workspace",
    table.TOOL_NAME: "tool_name", table.ERROR_TYPE: "error_type", table.KIND: "kind",
    table.USER_ID: "user_id", table.SESSION_ID: "session_id",
    table.FIRST_TOKEN: "time_to_first_token_ns", table.TAGS: "tags",
    table.INPUT_TOKENS: "usage.input", table.OUTPUT_TOKENS: "usage.output",
    table.TOTAL_TOKENS: "(total tokens)", table.CACHE_READ: "usage.cache_read",
    table.CACHE_WRITE: "usage.cache_write", table.REASONING: "usage.reasoning",
    table.COST: "cost.amount", table.COST_CURRENCY: "cost.currency",
    table.COST_SOURCE: "cost.source", table.PROMPT_COST: "cost.amount (part: input)",
    table.COMPLETION_COST: "cost.amount (part: output)",
}  # fmt: skip
FORMS = {
    table.Form.MESSAGES: "messages, JSON or structured",
    table.Form.FLAT: "one attribute a leaf",
    table.Form.EVENTS: "span events",
    table.Form.VALUE: "one text",
    table.Form.DOCUMENTS: "documents, JSON or structured",
}


def attributes() -> str:
    """Returns which attributes fill each typed field."""
    rows = (
        (
            f"`{FIELD_NAMES[field]}`",
            ", ".join(f"`{key}`" for key in row.sources),
            "yes" if field in table.OF_RESOURCE else "",
        )
        for field, row in table.ROWS.items()
    )
    return markdown(("field", "attributes, best first", "also from the resource"), rows)


def contents() -> str:
    """Returns where the messages of a span come from."""
    rows = (
        (direction, f"`{key}{'*' if key.endswith('.') else ''}`", FORMS[source.form])
        for direction, sources in (("input", table.INPUT), ("output", table.OUTPUT))
        for key, source in sorted(sources.items(), key=lambda item: item[1].rank)
    )
    return markdown(("messages", "from, best first", "form"), rows)


def kinds() -> str:
    """Returns which values of which attributes make which kind of span."""
    values: dict[tuple[str, int], list[str]] = {}
    for key, numbers in table._KINDS.items():
        for value, number in numbers.items():
            values.setdefault((key, number), []).append(f"`{value}`")
    rows = (
        (f"`{key}`", ", ".join(names), f"`{_kind(number)}`")
        for (key, number), names in values.items()
    )
    return markdown(("attribute", "value", "kind"), rows)


def _kind(number: int) -> str:
    return common_pb2.SpanKind.Name(number).removeprefix("SPAN_KIND_")  # type: ignore[arg-type]


def commands() -> str:
    """Returns every command with the options that are its own."""
    return markdown(("command", "what it does", "its options"), _commands(_root(), "bartizan"))


def _commands(group: Any, path: str) -> Iterator[Sequence[str]]:
    common = {*SERVER_OPTIONS, "--help", "--json"}
    for name, command in group.commands.items():
        names = [one.opts[-1] for one in command.params if one.opts[-1].startswith("--")]
        own = ", ".join(f"`{one}`" for one in names if one not in common)
        yield f"`{path} {name}`", command.help.split("\n\n")[0].strip(), own
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")


def server_options() -> str:
    """Returns the options that say which server, which all commands that need one share."""
    known = {one.opts[-1]: one for one in _root().commands["traces"].params}
    rows = (
        (f"`{name} {known[name].metavar}`", re.sub(r" \[(env var|default).*", "", known[name].help))
        for name in SERVER_OPTIONS
    )
    return markdown(("option", "meaning"), rows)


SERVER_OPTIONS = tuple(f"--{one.name.replace('_', '-')}" for one in fields(Server))


def _root() -> Any:
    return typer.main.get_command(cli.app)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "rules": rules,
    "pii-keys": pii_keys,
    "entities": entities,
    "metrics": lambda: f"{describe()}\n",
    "error-codes": error_codes,
    "attributes": attributes,
    "contents": contents,
    "kinds": kinds,
    "commands": commands,
    "server-options": server_options,
}


def renewed(text: str) -> str:
    """Returns a page with its tables made anew; raises KeyError for one that nothing makes."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}\n{TABLES[found[1]]()}\n", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks all pages. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    only_check = parser.parse_args(arguments).check
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = renewed(text)
        if new != text:
            stale.append(page.name)
            if not only_check:
                page.write_text(new, encoding="utf-8")
    for name in stale:
        print(f"docs/{name}: {'no longer what the code says' if only_check else 'written'}")
    return int(only_check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
