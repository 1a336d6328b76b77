"""`python -m bartizan.alerts.anomaly`."""

import csv
import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.alerts.anomaly.__main__ import main, score
from bartizan.alerts.anomaly.series import BadRow, points

UTC_ZONE = ZoneInfo("UTC")


def run(text: str, monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return main(argv)


def series(count: int) -> str:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        f"{start + timedelta(minutes=5 * at):%Y-%m-%d %H:%M:%S},{at % 5}" for at in range(count)
    ]
    return "\n".join(["timestamp,value", *rows]) + "\n"


def test_as_a_program() -> None:
    command = [sys.executable, "-m", "bartizan.alerts.anomaly"]
    done = subprocess.run(command, input=series(30), capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["timestamp", "value", "score", "expected", "low", "high"]
    assert len(rows) == 30
    assert (rows[7]["timestamp"], rows[7]["value"]) == ("2024-01-01 00:35:00", "2")
    assert all(0 <= float(row["score"]) <= 1 for row in rows)


@pytest.mark.parametrize("name", ["auto", "seasonal", "drift"])
def test_more_lines_do_not_change_those_before(name: str) -> None:
    short, long = io.StringIO(), io.StringIO()
    score(io.StringIO(series(100)), short, name, UTC_ZONE)
    score(io.StringIO(series(140)), long, name, UTC_ZONE)
    assert long.getvalue().startswith(short.getvalue())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "line 1: the header has no column timestamp; it has to be timestamp,value"),
        ("timestamp,number\n", "line 1: the header has no column value"),
        ("timestamp,value\n2024-01-01,1\nyesterday,2\n", "line 3: 'yesterday' is no time"),
        ("timestamp,value\n2024-01-01,1\n\n2024-01-02,two\n", "line 4: 'two' is no number"),
        ("timestamp,value\n2024-01-01\n", "line 2: a row needs a timestamp and a value"),
        ("timestamp,value\nnan,1\n", "line 2: 'nan' is no time"),
        ("timestamp,value\n1e300,1\n", "line 2: '1e300' is no time"),
    ],
)
def test_bad_row_is_told_with_its_line(
    rows: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(rows, monkeypatch) == 2
    told = capsys.readouterr().err
    assert told.startswith(message)
    assert told.count("\n") == 1


def test_unknown_time_zone_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(series(3), monkeypatch, "--timezone", "Mars/Olympus")
    assert stopped.value.code == 2
    assert "'Mars/Olympus' is no time zone" in capsys.readouterr().err


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-01T12:00:00Z",
        "2024-03-01 12:00:00",
        "2024-03-01T13:00:00+01:00",
        "1709294400",
        "1709294400.0",
        "1709294400000",
        "1709294400000000",
        "1709294400000000000",
    ],
)
def test_times(written: str) -> None:
    (point,) = points(["timestamp,value\n", f"{written},1\n"], UTC_ZONE)
    assert point.time == datetime(2024, 3, 1, 12, tzinfo=UTC)


def test_columns_by_name_and_missing_values() -> None:
    lines = [
        "\ufeffvalue,label,Timestamp\n",
        ",0,2024-01-01\n",
        "NaN,0,2024-01-02\n",
        "3,1,2024-01-03\n",
    ]
    values = [point.value for point in points(lines, UTC_ZONE)]
    assert values[0] != values[0]
    assert values[1] != values[1]
    assert values[2] == 3


def test_hour_that_comes_twice_is_in_order() -> None:
    lines = ["timestamp,value\n"]
    lines += [
        f"2024-10-27 {hour},1\n" for hour in ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00")
    ]
    times = [point.time for point in points(lines, ZoneInfo("Europe/Berlin"))]
    steps = {b - a for a, b in pairwise(times)}
    assert steps == {timedelta(minutes=30)}


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    lines = io.StringIO("timestamp,value\n" + text)
    try:
        told = f"line {len(list(points(lines, UTC_ZONE)))}"
    except BadRow as error:
        told = str(error)
    assert told.startswith("line ")
