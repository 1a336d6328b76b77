"""The wheels hold what they must and nothing else, and a server runs from them alone."""

import random
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from tests.support.serving import Serving
from tests.support.spans import make_span

from bartizan.client import Bartizan

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "proto", ROOT / "clients" / "python", ROOT / "guardrails" / "models", ROOT]
SUFFIXES = {
    ".py", ".pyi", ".proto", ".typed", ".yaml", ".binpb", ".npz", ".txt", ".md", ".json", ".onnx",
    ".html",
}  # fmt: skip
MUST_HAVE = {
    "bartizan-": {
        "bartizan/guardrails/default_rules.yaml",
        "bartizan/guardrails/models/README.md",
        "bartizan/guardrails/models/injection_user.npz",
        "bartizan/guardrails/py.typed",
        "bartizan/plugins/py.typed",
        "bartizan/server/py.typed",
        "bartizan/server/store/migrations/env.py",
        "bartizan/server/store/migrations/versions/0001_spine.py",
        "bartizan/server/store/migrations/versions/0002_feedback.py",
    },
    "bartizan_client-": {"bartizan/client/py.typed"},
    "bartizan_models-": {
        "bartizan/models/heads.json",
        "bartizan/models/layers_3.onnx",
        "bartizan/models/tokenizer.json",
        "bartizan/models/words.npz",
    },
    "bartizan_proto-": {
        "bartizan/v1/descriptors.binpb",
        "bartizan/v1/py.typed",
        "bartizan/v1/trace_pb2.pyi",
        "bartizan/v1/trace_pb2_grpc.py",
    },
}


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, timeout=100)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The four wheels, built without a network."""
    folder = tmp_path_factory.mktemp("wheels")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    pip("wheel", *offline, *map(str, SOURCES))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def environment(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheels, which borrows what they depend on from ours."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pip("--python", python, "install", "--no-index", "--no-deps", *map(str, wheels))
    # The line adds the folder, not what its own .pth files name: our sources stay out of it.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_wheels_hold_what_they_must_and_nothing_else(wheels: list[Path]) -> None:
    for wheel, (prefix, needed) in zip(wheels, sorted(MUST_HAVE.items()), strict=True):
        assert wheel.name.startswith(prefix)
        names = [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]
        ours = [name for name in names if not name.parts[0].endswith(".dist-info")]
        assert needed <= set(map(str, ours))
        assert {name.parts[0] for name in ours} == {"bartizan"}
        assert {name.suffix for name in ours} <= SUFFIXES
        assert not [name for name in ours if "tests" in name.parts or "conftest" in name.stem]
        assert PurePosixPath("bartizan/__init__.py") not in ours


def test_a_server_runs_from_the_wheels(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(environment / "bin" / "python"))
    show = "import bartizan.server as s, bartizan.v1.trace_pb2 as p; print(s.__file__, p.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", show], capture_output=True, text=True, check=True
    ).stdout
    assert shown.count(str(environment)) == 2, shown
    with Serving(empty / "data") as serving, Bartizan(serving.key, serving.grpc) as client:
        span = make_span(random.Random(1))
        span.input[0].content = "Write to ada@example.com."
        assert client.export([span]).stored == 1
        view = client.get_trace(span.trace_id)
    assert view.spans[0].input[0].content == "Write to [EMAIL_ADDRESS]."
    assert {path.name for path in empty.iterdir()} == {"data", "data.key", "data.log"}
