"""What the demo looks like on a terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bartizan.server.demo.figures import Figures, Sums
from bartizan.server.demo.news import News, name_of

BLOCKS = " ▁▂▃▄▅▆▇█"
ACCENT = "cyan"
MARKS = {
    "loop": ("↻", "bold magenta"),
    "failed": ("✗", "red"),
    "retried": ("↺", "bright_red"),
    "found": ("■", "yellow"),
    "minor": ("■", "yellow"),
    "costly": ("$", "green"),
}
WHOLE_ID, SHORT_ID = 32, 8
ROOMY = 120
"""Columns from which on there is room for whole trace ids."""
WIDE = 100
"""Columns from which on there is room for whole words."""
LONG_LABEL = 25
LONG_BAR, SHORT_BAR = 8, 3
USUAL_AGENTS = 4
TALL = 28
"""Rows from which on there is room for everything."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to get at the server from another terminal.

    Attributes:
        command: what to type for `bartizan`.
        grpc: HOST:PORT.
        http: HOST:PORT.
        key: the API key.
    """

    command: str
    grpc: str
    http: str
    key: str


class View:
    """Draws figures and news."""

    def __init__(self, figures: Figures, news: News, access: Access, seconds: float) -> None:
        self._figures = figures
        self._news = news
        self._access = access
        self._seconds = seconds

    def screen(self, elapsed_s: float, width: int, height: int) -> Layout:
        """Returns the whole screen."""
        tall, wide = height >= TALL, width >= WIDE
        found = self._news.last_of("loop", "found", "failed", "minor")
        hints = commands(self._access, found.trace_id if found else "")
        screen = Layout()
        screen.split_column(
            Layout(self._head(elapsed_s, wide), size=2 if tall else 1),
            self._top(width, 8 if tall else 7),
            Layout(_panel(agents_table(self._figures), "agents"), size=self._agents_rows()),
            Layout(_panel(self._latest(width, height), "latest"), minimum_size=3),
            Layout(Group(*(hints if tall else hints[:2] + hints[3:])), size=5 if tall else 4),
        )
        return screen

    def _agents_rows(self) -> int:
        return 4 + max(len(self._figures.agents), USUAL_AGENTS)

    def _head(self, elapsed_s: float, wide: bool) -> RenderableType:
        http = f"  HTTP {self._access.http}" if wide else ""
        left = Text.assemble(
            (" ◢ BARTIZAN ", "bold black on cyan"),
            ("  demo  ", "bold"),
            (f"gRPC {self._access.grpc}{http}", "dim"),
        )
        until = f" of {clock(self._seconds)}" if self._seconds else ""
        right = Text.assemble((clock(elapsed_s), "bold"), (f"{until}  q ends ", "dim"))
        return _row(left, right)

    def _top(self, width: int, height: int) -> Layout:
        top = Layout(size=height)
        third, wide = max(20, width // 3), width >= WIDE
        title = "redacted before storing" if wide else "redacted"
        top.split_row(
            Layout(_panel(self._throughput(third - 4, height - 2), "stored")),
            Layout(_panel(self._kinds(height - 2, wide), title)),
            Layout(_panel(self._errors(height - 2, wide), "errors")),
        )
        return top

    def _throughput(self, width: int, rows: int) -> RenderableType:
        figures, ledger, total = self._figures, self._figures.ledger, self._figures.total
        lines: list[RenderableType] = [
            _row(
                Text.assemble((f"{figures.rate:,.0f}", f"bold {ACCENT}"), " spans/s"),
                Text("1 min" if width < LONG_LABEL else "last minute", "dim"),
            ),
            *sparkline(figures.per_second, width, rows - 4),
            _row(Text("spans"), Text(f"{ledger.stored:,}", "bold")),
            _row(Text("traces"), Text(f"{total.traces:,}", "bold")),
        ]
        lost = ledger.rejected + ledger.quarantined
        style = "red" if lost else "dim"
        lines.append(_row(Text("rejected", style), Text(f"{lost:,}", style)))
        return Group(*lines)

    def _kinds(self, rows: int, wide: bool) -> RenderableType:
        kinds = [(name_of(kind), number) for kind, number in self._figures.kinds.most_common()]
        return _bars(kinds, rows, wide, "yellow", "nothing yet")

    def _errors(self, rows: int, wide: bool) -> RenderableType:
        return _bars(self._figures.errors.most_common(), rows, wide, "red", "none yet")

    def _latest(self, width: int, limit: int) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, expand=True)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        table.add_column(no_wrap=True, style="dim", overflow="ellipsis", max_width=15)
        table.add_column(no_wrap=True, style="dim")
        shown = WHOLE_ID if width >= ROOMY else SHORT_ID
        for item in self._news.latest(limit):
            mark, style = MARKS[item.sort]
            text = Text(item.text, style)
            table.add_row(
                clock(item.at_s), Text(mark, style), text, item.agent, item.trace_id[:shown]
            )
        return table


def commands(access: Access, trace_id: str) -> list[Text]:
    """Returns lines to copy into another terminal."""
    bartizan = access.command
    lines = [
        f"export BARTIZAN_ENDPOINT={access.grpc}  # in another terminal",
        f"export BARTIZAN_API_KEY={access.key}",
        f"{bartizan} tail",
        f"{bartizan} traces --finding pii",
        f"{bartizan} trace {trace_id} -v" if trace_id else f"{bartizan} sessions",
    ]
    return [Text(f" {line}", ACCENT, no_wrap=True) for line in lines]


def agents_table(figures: Figures) -> Table:
    """Returns what each agent did and cost, the costliest first, and the sum."""
    table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
    table.add_column("agent", no_wrap=True)
    for title in ("traces", "failed", "errors", "findings", "tokens", "cost", "each"):
        table.add_column(title, justify="right", no_wrap=True)
    agents = sorted(figures.agents.items(), key=lambda pair: -pair[1].cost_usd)
    for name, sums in agents:
        table.add_row(Text(name, ACCENT), *_cells(sums))
    if agents:
        table.add_row("all", *_cells(figures.total), style="bold")
    return table


def sparkline(values: Iterable[int], width: int, rows: int) -> list[Text]:
    """Returns a chart of the latest values, the newest at the right, in so many rows of blocks."""
    latest = list(values)[-width:]
    highest = max([*latest, 1])
    steps = len(BLOCKS) - 1
    heights = [round(value / highest * rows * steps) for value in latest]
    lines = []
    for row in reversed(range(rows)):
        filled = (min(max(height - row * steps, 0), steps) for height in heights)
        lines.append(Text("".join(BLOCKS[one] for one in filled).rjust(width), ACCENT))
    return lines


def clock(seconds: float) -> str:
    """Returns minutes and seconds: 4:07."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def _cells(sums: Sums) -> list[RenderableType]:
    each = sums.cost_usd / sums.traces if sums.traces else 0.0
    return [
        f"{sums.traces:,}",
        Text(f"{sums.failed:,}", "red" if sums.failed else "dim"),
        Text(f"{sums.errors:,}", "red" if sums.errors else "dim"),
        Text(f"{sums.findings:,}", "yellow" if sums.findings else "dim"),
        f"{sums.tokens:,}",
        Text(f"${sums.cost_usd:,.3f}", "green"),
        f"${each:.4f}",
    ]


def _bars(
    pairs: Sequence[tuple[str, int]], rows: int, wide: bool, style: str, empty: str
) -> RenderableType:
    if not pairs:
        return Text(empty, "dim")
    shown = list(pairs[:rows])
    if len(pairs) > rows:
        rest = pairs[rows - 1 :]
        shown = [*pairs[: rows - 1], (f"{len(rest)} others", sum(number for _, number in rest))]
    highest = max(number for _, number in shown)
    table = Table(box=None, show_header=False, pad_edge=False, expand=True, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    longest = LONG_BAR if wide else SHORT_BAR
    for name, number in shown:
        bar = "━" * max(1, round(longest * number / highest))
        table.add_row(name, Text(bar.ljust(longest), style), f"{number:,}")
    return table


def _row(left: Text, right: Text) -> Table:
    table = Table.grid(expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_row(left, right)
    return table


def _panel(inside: RenderableType, title: str) -> Panel:
    return Panel(
        inside, box=ROUNDED, border_style="bright_black", title=f"[dim]{title}", title_align="left"
    )
