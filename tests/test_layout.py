"""How the repository is laid out, and what must not be in it."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = {
    "proto": "v1",
    "plugins": "plugins",
    "guardrails": "guardrails",
    "evaluators": "evaluators",
    "alerts": "alerts",
    "server": "server",
    "clients/python": "client",
}
"""Each source root with its part of the namespace `bartizan`."""
MAX_LINES = 400

# Put together here, so that this file holds none of them itself.
DOWNLOADS = re.compile(
    "|".join(
        re.escape(f"{host}.{domain}")
        for host, domain in (
            *(("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org")),
            *(("githubusercontent", "com"), ("huggingface", "co"), ("ghcr", "io"), ("quay", "io")),
            *(("docker", "io"), ("astral", "sh"), ("ubuntu", "com"), ("golang", "org")),
        )
    )
    + "|/releases"
    + "/download/"
)


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Everything that is in the repository or about to be."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def names(paths: Iterable[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_nothing_hides_the_parts_of_the_namespace(files: list[Path]) -> None:
    roots = [ROOT / root for root in PARTS]
    stray = {root / "__init__.py" for root in roots}
    stray |= {root / "bartizan" / "__init__.py" for root in roots}
    assert not names(stray & set(files))
    assert not [str(path) for path in stray if path.exists()]


def test_every_part_is_where_it_is_imported_from() -> None:
    for root, part in PARTS.items():
        found = {path.name for path in (ROOT / root / "bartizan").glob("*/")} - {"__pycache__"}
        assert found <= {part}, root


def test_every_part_with_code_is_typed() -> None:
    for root, part in PARTS.items():
        home = ROOT / root / "bartizan" / part
        assert not any(home.glob("*.py")) or (home / "py.typed").exists(), root


def test_no_file_is_too_long(files: list[Path]) -> None:
    own = [path for path in files if path.suffix == ".py" and "_pb2" not in path.name]
    long = [path for path in own if len(path.read_text().splitlines()) > MAX_LINES]
    assert not names(long)


def test_nothing_names_a_place_to_download_from(files: list[Path]) -> None:
    found = [path for path in files if DOWNLOADS.search(path.read_text(errors="replace"))]
    assert not names(found)


def test_the_stubs_are_there() -> None:
    home = ROOT / "proto" / "bartizan" / "v1"
    for contract in home.glob("*.proto"):
        for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"):
            assert (home / f"{contract.stem}{suffix}").exists(), contract.name
    assert (home / "descriptors.binpb").exists()


def test_the_checks_of_a_merge_can_be_run() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
