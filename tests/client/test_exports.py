"""What a program may rely on."""

import ast
import sys
from pathlib import Path

import pytest

import bartizan.client

NAMES = (
    "Aborted Admin AlreadyExists AsyncBartizan Backoff Bartizan BartizanError Cancelled"
    " DeadlineExceeded FailedPrecondition Internal InvalidArgument Limits NotFound"
    " PermissionDenied ResourceExhausted SessionQuery Source Span Stream Tls TraceQuery TraceView"
    " Unauthenticated Unavailable Unimplemented"
)
FILES = sorted(Path(bartizan.client.__file__).parent.glob("*.py"))


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
    assert others <= {"bartizan", "google", "grpc", "typing_extensions"}
