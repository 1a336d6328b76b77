"""Builds the package of docs/plugins.md, installs it, and runs everything on the page."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from bartizan.plugins.chain import Chain, build_chain
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.registry import guardrails
from bartizan.plugins.rules import load_rules

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w./]+)`[^\n]*:\n\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
PACKAGE = "acme_tickets"


def blocks() -> list[tuple[str, str, str]]:
    """Returns the file, if it is one, the language and the code of each block of the page."""
    found = BLOCK.finditer(PAGE.read_text("utf-8"))
    return [(match["file"] or "", match["language"], match["code"]) for match in found]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("acme-tickets")
    for file, _, code in blocks():
        if file:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, "utf-8")
    return root


@pytest.fixture
def installed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installs the package as an installer does: its folder on the path, its metadata beside it."""
    site = project / "src"
    described = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    info = site / f"{PACKAGE}-{described['version']}.dist-info"
    info.mkdir(exist_ok=True)
    needs = "".join(f"Requires-Dist: {one}\n" for one in described["dependencies"])
    named = f"Name: {described['name']}\nVersion: {described['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}{needs}")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in described["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def environment(installed: Path) -> dict[str, str]:
    path = [str(installed), *filter(None, [os.environ.get("PYTHONPATH")])]
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PATH": os.pathsep.join(programs)}


def test_every_block_is_a_file_or_runs() -> None:
    """What is no file is taken by a test below, by its language."""
    kinds = [language for file, language, _ in blocks() if not file]
    assert sorted(kinds) == ["", "python", "sh", "yaml"]


def test_the_files_are_those_of_the_tree(project: Path) -> None:
    [tree] = [code for _, language, code in blocks() if not language]
    shown = set(re.findall(r"[\w./]+\.\w+", tree))
    assert shown == {file for file, _, _ in blocks() if file}


def test_its_own_tests_pass(project: Path, installed: Path) -> None:
    """In a process of its own, as its author runs them: with no server and none of our tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", "bt"]
    run = subprocess.run(
        command,
        cwd=project,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


async def test_the_rules_on_the_page_work(installed: Path, tmp_path: Path) -> None:
    [rules] = [code for file, language, code in blocks() if language == "yaml" and not file]
    directory = tmp_path / "projects.txt"
    directory.write_text("OPS\nWEB\n")
    ruled = load_rules(rules.replace("/etc/acme/projects.txt", str(directory)))
    chain = build_chain(ruled, guardrails(), hash_key=b"k" * 16)
    await chain.start()
    texts = [Text(Role.USER, "see OPS-12 and XYZ-9"), Text(Role.ASSISTANT, "UTF-8, no ticket")]
    judged = await chain.judge(texts)
    await chain.aclose()
    assert judged.replacements == {0: "see [TICKET] and XYZ-9"}


async def test_what_a_team_reads_when_it_is_wrong(installed: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'projects'"):
        guardrails().create("acme_tickets", {"project": ["OPS"]})
    missing = guardrails().create("acme_tickets", {"projects_file": "/nowhere/at/all"})
    with pytest.raises(ConfigError, match="projects_file cannot be read: No such file"):
        await missing.start()  # type: ignore[attr-defined]
    await missing.aclose()


def test_the_shell_line_runs(installed: Path) -> None:
    [line] = [code for _, language, code in blocks() if language == "sh"]
    run = subprocess.run(
        ["sh", "-e"], input=line, env=environment(installed), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert [one["category"] for one in json.loads(run.stdout)["findings"]] == ["acme.ticket"]


async def test_the_guardrail_that_needs_groups_works() -> None:
    [piece] = [code for file, language, code in blocks() if language == "python" and not file]
    names: dict[str, Any] = {"__name__": "a_piece"}
    exec(compile(piece, str(PAGE), "exec"), names)
    echoes = names["Echoes"](PluginConfig())
    rules = load_rules("rules: [{id: echoes, plugin: echoes}]")
    chain = Chain(rules, {"echoes": echoes}, hash_key=b"k" * 16)
    said = [Text(Role.USER, "hello", None, 1), Text(Role.ASSISTANT, "hello", None, 1)]
    judged = await chain.judge([*said, Text(Role.ASSISTANT, "hello", None, 2)])
    assert set(judged.decisions) == {1}
    await chain.aclose()


def test_it_is_listed_with_its_distribution(installed: Path) -> None:
    assert "acme_tickets" in guardrails().names()
    assert distribution("acme-tickets").version == "1.0.0"
    assert asyncio.run(_found()) == [["TICKET"]]


async def _found() -> list[list[str]]:
    guardrail = guardrails().create("acme_tickets", {"projects": ["OPS"]})
    found = await guardrail.check([Text(Role.USER, "OPS-1")])
    await guardrail.aclose()
    return [[one.code for one in some] for some in found]
