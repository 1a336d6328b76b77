"""What is exported can be sent again as it is, and an export that broke off goes on."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

from bartizan.plugins.errors import ConfigError
from bartizan.server.cli.span_writer import Progress, SpanWriter, to_file
from bartizan.v1 import common_pb2, trace_pb2

SAMPLE = Path(__file__).parents[3] / "examples" / "sample-traces.ndjson"
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
ASKED = {"agent": "bot"}


@pytest.fixture
def sample(online: Command) -> int:
    """How many spans the server has."""
    assert online("send", SAMPLE).code == 0
    return len(SAMPLE.read_text().splitlines())


def test_what_is_exported_can_be_sent_again(
    online: Command, server: FakeServer, sample: int, tmp_path: Path
) -> None:
    file = tmp_path / "all.ndjson"
    done = online("export", "-o", file)
    assert (done.code, done.out) == (0, f"18 traces, {sample} spans written\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["all.ndjson"]
    before = dict(server.ingest.spans)
    server.ingest.spans.clear()
    assert online("send", file).out == f"{sample} spans sent, {sample} stored\n"
    assert server.ingest.spans == before


def test_standard_output_holds_spans_and_nothing_else(online: Command, sample: int) -> None:
    done = online("export")
    assert len(done.lines) == sample
    assert done.err == f"18 traces, {sample} spans written\n"
    assert len({one["trace_id"] for one in online("export", "--limit", 3).lines}) == 3


@pytest.mark.usefixtures("sample")
def test_the_counts_can_be_json(online: Command, tmp_path: Path) -> None:
    (told,) = online("export", "-o", tmp_path / "x", "--limit", 1, "--json").lines
    assert (told["traces"], told["file"]) == (1, str(tmp_path / "x"))


@pytest.mark.usefixtures("sample")
def test_an_export_that_broke_off_goes_on(
    online: Command, server: FakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "all.ndjson"
    whole = online("export").out
    server.traces.break_after = 7
    done = online("export", "-o", file)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("7 traces, ")
    assert "the same command with --resume goes on from there\n" in done.err
    assert not file.exists()
    part = tmp_path / "all.ndjson.part"
    assert whole.startswith(part.read_text())
    with part.open("a") as half:
        half.write('{"trace_id": "')
    server.traces.break_after = None
    server.traces.requests.clear()
    done = online("export", "-o", file, "--resume")
    assert done.code == 0
    assert file.read_text() == whole
    assert "18 traces" in done.out
    assert server.traces.requests[0].filter.HasField("end_time"), "it did not begin anew"
    assert [one.name for one in tmp_path.iterdir()] == ["all.ndjson"]


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda part, state: state.write_text("{"), "is damaged"),
        (lambda part, state: state.write_text("[" * 10_000), "is damaged"),
        (lambda part, state: state.write_text("[]"), "is damaged"),
        (lambda part, state: state.write_text('{"asked": {}, "progress": {}}'), "is damaged"),
        (lambda part, state: part.write_text(""), "is shorter than it was"),
        (lambda part, state: part.unlink(), "is shorter than it was"),
    ],
)
def test_a_state_that_does_not_hold_is_told(
    online: Command, server: FakeServer, tmp_path: Path, damage: object, sentence: str
) -> None:
    file = tmp_path / "all.ndjson"
    server.traces.break_after = 3
    online("export", "-o", file)
    server.traces.break_after = None
    damage(tmp_path / "all.ndjson.part", tmp_path / "all.ndjson.part.state")  # type: ignore[operator]
    done = online("export", "-o", file, "--resume")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert sentence in done.err
    assert online("export", "-o", file).code == 0, "without --resume it begins again"


@pytest.mark.usefixtures("sample")
def test_another_export_does_not_go_on_with_it(
    online: Command, server: FakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "all.ndjson"
    server.traces.break_after = 3
    online("export", "-o", file)
    server.traces.break_after = None
    done = online("export", "-o", file, "--resume", "--agent", "coder")
    assert done.code == 2
    assert "was begun with other filters" in done.err
    server.admin.project = "organizations/default/projects/other"
    assert online("export", "-o", file, "--resume").code == 2


@pytest.mark.usefixtures("sample")
def test_without_anything_to_go_on_with_it_begins(online: Command, tmp_path: Path) -> None:
    assert online("export", "-o", tmp_path / "x", "--resume").code == 0


def test_wrong_usage(online: Command, tmp_path: Path) -> None:
    assert "--resume needs a file" in online("export", "--resume").err
    done = online("export", "-o", tmp_path / "absent" / "x")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "No such file or directory" in done.err


def span(trace_id: str, number: int) -> common_pb2.Span:
    return common_pb2.Span(trace_id=trace_id, span_id=f"{number:016x}", name="x")


def summary(trace_id: str, start_ns: int) -> trace_pb2.Trace:
    made = trace_pb2.Trace(trace_id=trace_id)
    made.start_time.FromNanoseconds(start_ns)
    return made


class Killed(Exception):
    """Ends an export in the middle."""


@given(
    starts=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    stops=st.lists(st.integers(0, 12), max_size=4),
)
def test_however_often_it_breaks_off_each_trace_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, starts: list[int], stops: list[int]
) -> None:
    traces = [summary(f"{number:032x}", start) for number, start in enumerate(starts)]
    traces.sort(key=lambda one: (one.start_time.ToNanoseconds(), one.trace_id), reverse=True)
    file = tmp_path_factory.mktemp("export") / "x"
    for stop in [*stops, len(traces)]:
        try:
            with to_file(str(file), ASKED, True, BEGAN, lambda: 0.0) as writer:
                left = [one for one in traces if writer.progress.comes_next(one)]
                copy(writer, left, stop)
        except Killed:
            continue
        break
    ids = [json.loads(line)["trace_id"] for line in file.read_text().splitlines()]
    assert ids == [one.trace_id for one in traces for _ in range(2)]


def copy(writer: SpanWriter, left: list[trace_pb2.Trace], stop: int) -> None:
    for number, one in enumerate(left):
        if number == stop:
            writer._file.write(b'{"half')
            raise Killed
        writer.write(one, [span(one.trace_id, 1), span(one.trace_id, 2)])


def test_times_stay_where_they_were() -> None:
    progress = Progress(BEGAN.isoformat())
    assert progress.narrow({"since": timedelta(days=1)}) == {"since": BEGAN - timedelta(days=1)}
    progress.last_trace_id, progress.last_start_ns = "1" * 32, 5_000_000_999
    last = datetime(1970, 1, 1, 0, 0, 5, 1, tzinfo=UTC)
    assert progress.narrow({"agent": "bot"}) == {"agent": "bot", "until": last}
    earlier = datetime(1960, 1, 1, tzinfo=UTC)
    assert progress.narrow({"until": earlier})["until"] == earlier


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed), to_file(str(tmp_path / "x"), ASKED, False, BEGAN, lambda: 0.0):
        raise Killed
    with (
        pytest.raises(ConfigError),
        to_file(str(tmp_path / "x"), {"agent": "other"}, True, BEGAN, lambda: 0.0),
    ):
        pass
