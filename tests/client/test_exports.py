"""What a program may rely on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bartizan.client

NAMES = (
    "Aborted Admin AlreadyExists AsyncBartizan Backoff Bartizan BartizanError Cancelled"
    " Checked DeadlineExceeded Denied FailedPrecondition FindingQuery Internal InvalidArgument"
    " Limits NotFound PermissionDenied ResourceExhausted Rules Sending SessionQuery Source Span"
    " Stats Stream Tls TraceQuery TraceView Unauthenticated Unavailable Unimplemented"
)
EXTRAS = {
    "instrument.py": {"openinference"},
    "langchain.py": {"langchain_core"},
    "exporter.py": {"opentelemetry"},
    "bridge.py": {"opentelemetry"},
    "clean.py": {"opentelemetry"},
    "provider.py": {"opentelemetry"},
    "threads.py": {"opentelemetry"},
}
"""What only those import, of `_otel`, who asked for it."""
FILES = sorted(Path(bartizan.client.__file__).parent.rglob("*.py"))


def test_the_exported_names_stay() -> None:
    assert sorted(bartizan.client.__all__) == NAMES.split()
    assert all(hasattr(bartizan.client, name) for name in NAMES.split())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_runs_on_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_needs_grpc_and_protobuf_only(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    modules += [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    others = {module.split(".")[0] for module in modules} - sys.stdlib_module_names
    extras = EXTRAS[path.name] if path.parent.name == "_otel" and path.name in EXTRAS else set()
    assert others <= {"bartizan", "google", "grpc", "typing_extensions"} | extras


def test_importing_loads_next_to_nothing() -> None:
    heavy = ("grpc", "google", "asyncio", "opentelemetry", "langchain_core", "gevent", "sqlite3")
    program = f"import sys, bartizan.client; print([one for one in {heavy} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
