"""Scores a series: `python -m bartizan.alerts.anomaly < series.csv > scores.csv`."""

import argparse
import csv
import sys
from collections.abc import Sequence
from typing import TextIO
from zoneinfo import ZoneInfo

from bartizan.alerts.anomaly import DETECTORS, detector
from bartizan.alerts.anomaly.series import BadRow, points

HEADER = ("timestamp", "value", "score", "expected", "low", "high")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 2 after a sentence on stderr if the series cannot be read."""
    chosen = _parser().parse_args(argv)
    try:
        score(sys.stdin, sys.stdout, chosen.detector, chosen.timezone)
    except BadRow as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except UnicodeDecodeError:
        print("the series is not text in UTF-8", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def score(source: TextIO, target: TextIO, name: str, zone: ZoneInfo) -> None:
    """Writes each point of a series with its score; a row depends on nothing after it.

    Raises `BadRow` at a line that is no point; what came before it has been written.
    """
    judge = detector(name, zone)
    out = csv.writer(target, lineterminator="\n")
    rows = points(source, zone)
    out.writerow(HEADER)
    for point in rows:
        one = judge.update(point.time, point.value)
        numbers = (one.expected, one.low, one.high)
        out.writerow((*point.written, f"{one.score:.9f}", *(f"{each:.10g}" for each in numbers)))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{name!r} is no time zone, such as UTC") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bartizan.alerts.anomaly",
        description="Reads timestamp,value as CSV; writes timestamp,value,score,expected,low,high.",
    )
    parser.add_argument("--detector", choices=list(DETECTORS), default="auto")
    parser.add_argument(
        "--timezone", type=_zone, default="UTC", help="of the hours of the week; default UTC"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
