"""Texts of alerts: templates that hold ids, numbers and reason codes, in bounded time and space.

A template has variables, conditions, arithmetic and a few filters. It has no loops and no calls,
so that what it costs grows with its own length alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bartizan.alerts.documents import unknown
from bartizan.alerts.template_filters import FILTERS, shown

MAX_TEMPLATE = 2_000
"""Characters of a template."""
MAX_TEXT = 1_024
"""Characters of what a template makes: as much as a summary may have."""
MAX_NODES, MAX_DEPTH = 400, 30
"""Of the tree of a template."""
MAX_PART = 200
"""Characters of one label in a text."""

VARIABLES = (
    "rule", "project", "metric", "unit", "window", "operator", "state", "level", "severity",
    "reason", "value", "threshold", "samples", "hits", "total", "expected", "low", "high",
    "last_week", "starts_at", "now", "labels", "runbook_url",
)  # fmt: skip
ALWAYS_LABELS = ("alertname", "project", "severity", "environment")

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub,
    nodes.Mul, nodes.Div, nodes.Concat,
)  # fmt: skip
_TESTS = {"none", "defined", "number", "string"}
_SAID = {
    nodes.For: "loops", nodes.Macro: "macros", nodes.Call: "calls", nodes.Include: "includes",
    nodes.Import: "imports", nodes.Extends: "inheritance", nodes.Assign: "assignments",
    nodes.Pow: "powers", nodes.Mod: "'%'",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variables:
    """What a template may name.

    Attributes:
        labels: the labels of the rule's alerts.
    """

    labels: tuple[str, ...]


class _Environment(ImmutableSandboxedEnvironment):
    # Multiplied texts could fill the memory; so they are not even tried at compile time.
    intercepted_binops = frozenset({"*"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, str | tuple) or isinstance(right, str | tuple):
            raise TypeError("only numbers can be multiplied")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping):
            # Names were checked when the rule was read; an alert need not have all its labels.
            return obj.get(argument, "")
        return self.undefined(obj=obj, name=argument)


def variables_of(labels: Iterable[str]) -> Variables:
    """Returns what the templates of a rule with these labels may name."""
    return Variables(tuple(dict.fromkeys((*ALWAYS_LABELS, *labels))))


def template_problem(text: str, variables: Variables) -> str | None:
    """Returns what is wrong with a template, in half a sentence; None if nothing is."""
    if len(text) > MAX_TEMPLATE:
        return f"a template has {MAX_TEMPLATE} characters at most"
    try:
        tree = _ENVIRONMENT.parse(text)
        problem = _wrong(tree, variables)
        if problem is None:
            _compiled(text)
    except RecursionError:
        return "is nested too deeply"
    except TemplateError as error:
        return f"is not a template: {error.message}"
    except (ValueError, SyntaxError, MemoryError, OverflowError, TypeError):
        return "is not a template"
    return problem


def render(text: str, values: Mapping[str, Any]) -> str:
    """Returns what a template makes of values, at most MAX_TEXT characters.

    Never fails: a template that does yields a sentence that says so, as the alert matters more.
    """
    try:
        made = _compiled(text).render({name: _cleaned(value) for name, value in values.items()})
    except Exception as error:
        # Whatever it is: the class is no secret, and the message could hold a label.
        return f"This text could not be made ({type(error).__name__})."
    return made if len(made) <= MAX_TEXT else made[: MAX_TEXT - 1] + "…"


def clean(text: str) -> str:
    """Returns a label's value without control characters, cut to MAX_PART characters."""
    short = text if len(text) <= MAX_PART else text[: MAX_PART - 1] + "…"
    return short if short.isprintable() else "".join(c if c.isprintable() else " " for c in short)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {str(key): clean(str(item)) for key, item in value.items()}
    return value


def _wrong(tree: nodes.Template, variables: Variables) -> str | None:
    for count, (depth, node) in enumerate(_walk(tree)):
        if count >= MAX_NODES or depth > MAX_DEPTH:
            return "is too large or nested too deeply"
        if not isinstance(node, _ALLOWED):
            what = next((said for kind, said in _SAID.items() if isinstance(node, kind)), None)
            return f"a template has no {what or type(node).__name__.lower()}"
        problem = _wrong_name(node, variables)
        if problem is not None:
            return problem
    return None


def _wrong_name(node: nodes.Node, variables: Variables) -> str | None:
    if isinstance(node, nodes.Name) and node.name not in VARIABLES:
        return unknown("variable", node.name, VARIABLES)
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        return unknown("filter", node.name, FILTERS)
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return unknown("test", node.name, _TESTS)
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        return _wrong_label(node, variables)
    return None


def _wrong_label(node: nodes.Getattr | nodes.Getitem, variables: Variables) -> str | None:
    if not isinstance(node.node, nodes.Name) or node.node.name != "labels":
        return "only 'labels' has parts: 'labels.agent'"
    if isinstance(node, nodes.Getattr):
        name: object = node.attr
    else:
        name = node.arg.value if isinstance(node.arg, nodes.Const) else None
    if not isinstance(name, str):
        return "a label is named as in 'labels.agent'"
    return None if name in variables.labels else unknown("label", name, variables.labels)


def _walk(tree: nodes.Node) -> Iterator[tuple[int, nodes.Node]]:
    waiting = [(0, tree)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        waiting.extend((depth + 1, child) for child in node.iter_child_nodes())


def _environment() -> _Environment:
    made = _Environment(undefined=StrictUndefined, autoescape=False, finalize=shown, cache_size=0)
    made.globals.clear()
    made.filters.clear()
    made.filters.update(FILTERS)
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


_ENVIRONMENT = _environment()
_compiled = lru_cache(maxsize=2_048)(_ENVIRONMENT.from_string)
