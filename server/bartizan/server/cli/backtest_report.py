"""The result of a backtest, for people."""

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from bartizan.server.cli.output import console, counted, plain
from bartizan.v1 import guardrail_pb2

SHOWN = 12
"""Lines of a table; --json has all of them."""
SMALL = 0.1


def print_report(rule_id: str, result: guardrail_pb2.BacktestRuleResponse) -> None:
    """Prints what came of it: facts, counts under headings, examples, and what to do next."""
    out = console()
    out.print(Text(plain(_headline(rule_id, result)), style="bold"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column(overflow="fold")
    for name, said in _facts(rule_id, result):
        facts.add_row(name, plain(said))
    out.print(facts)
    for title, counts in (
        ("Category", result.by_category),
        ("Agent", result.by_agent),
        ("Day (UTC)", result.by_day),
    ):
        _print_counts(title, counts, compared=bool(result.version_in_force))
    _print_examples("Only this version finds", result.examples_new)
    _print_examples("Only the version in force finds", result.examples_in_force)
    if result.examples_new or result.examples_in_force:
        out.print("Look at one with 'bartizan trace ID -v'.")


def percent(share: float) -> str:
    """Returns a share with two digits that count."""
    value = share * 100
    return f"{value:.2g} %" if value < 10 else f"{value:.0f} %"


def proportion(of: guardrail_pb2.Proportion, things: str) -> str:
    """Returns `3 of 60 spans, 5 % (95 % sure: 1.7 % to 14 %)`."""
    if not of.total:
        return f"0 of 0 {things}"
    return (
        f"{of.hits:,} of {of.total:,} {things}, {percent(of.value)} "
        f"(95 % sure: {percent(of.lower)} to {percent(of.upper)})"
    )


def _headline(rule_id: str, result: guardrail_pb2.BacktestRuleResponse) -> str:
    line = f"{rule_id} {result.version}: {counted(result.spans_done, 'span')}"
    if result.spans_done < result.spans_total:
        line += f", evenly chosen of {result.spans_total:,}"
    return f"{line}, {counted(result.texts_done, 'text')}"


def _facts(rule_id: str, result: guardrail_pb2.BacktestRuleResponse) -> Iterator[tuple[str, str]]:
    yield "Hits", proportion(result.hits, "spans")
    yield "In force now", _compared(result)
    yield "False alarms", _false_alarms(rule_id, result)
    if missed := result.labelled_right_missed:
        yield "Missed", f"{counted(missed, 'finding')} that people labelled right"
    if unseen := list(_unseen(result)):
        yield "Not replayed", "; ".join(unseen)
    yield (
        "Time it takes",
        (
            f"{result.latency_p50_ms:.2f} ms a span (median), "
            f"{result.latency_p99_ms:.2f} ms at most for 99 of 100"
        ),
    )


def _compared(result: guardrail_pb2.BacktestRuleResponse) -> str:
    if not result.version_in_force:
        return "no rule of that id"
    if result.version_in_force == result.version:
        return "this very version"
    return (
        f"version {result.version_in_force}: both find {result.both:,}, "
        f"only this one {result.only_new:,}, only that one {result.only_in_force:,}"
    )


def _false_alarms(rule_id: str, result: guardrail_pb2.BacktestRuleResponse) -> str:
    if result.HasField("false_alarms"):
        return proportion(result.false_alarms, "labelled findings are wrong")
    if not result.version_in_force:
        return (
            "not known: apply the rule in mode shadow, then label what it finds "
            f"('bartizan findings --rule {rule_id}')"
        )
    return (
        f"not known: label some findings of 'bartizan findings --rule {rule_id}' "
        "with 'bartizan label'"
    )


def _unseen(result: guardrail_pb2.BacktestRuleResponse) -> Iterator[str]:
    if number := result.texts_redacted:
        yield f"{counted(number, 'text')} redacted before being stored"
    if number := result.spans_without_texts:
        yield f"{counted(number, 'span')} without texts"
    if number := result.texts_failed:
        yield f"{counted(number, 'text')} that the rule failed on or had no time for"


def _print_counts(
    title: str, counts: Sequence[guardrail_pb2.BacktestCount], *, compared: bool
) -> None:
    if not counts:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, overflow="fold", min_width=len(title))
    titles = ("Spans", "Findings", "In force")[: 3 if compared else 2]
    for one in titles:
        table.add_column(one, justify="right", no_wrap=True)
    # The days come in their order: the latest ones say most.
    shown = counts[-SHOWN:] if title.startswith("Day") else counts[:SHOWN]
    for count in shown:
        numbers = (count.spans, count.findings, count.spans_in_force)
        table.add_row(plain(count.value or "(none)"), *(f"{n:,}" for n in numbers[: len(titles)]))
    out = console()
    out.print()
    out.print(table)
    if len(counts) > SHOWN:
        out.print(f"and {len(counts) - SHOWN} more (--json has them)", style="dim")


def _print_examples(title: str, examples: Iterable[guardrail_pb2.BacktestExample]) -> None:
    lines = [
        Text(plain(f"{one.trace_id}  {one.finding.category} {one.finding.score:.2f}"))
        + Text(plain(f"  {one.finding.field} {one.finding.start}-{one.finding.end}"), "dim")
        for one in examples
    ]
    if lines:
        out = console()
        out.print()
        out.print(Text(title, "bold"))
        for line in lines:
            out.print(line, soft_wrap=True)
