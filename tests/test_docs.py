"""The documentation says what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.guardrails import default_rules
from bartizan.plugins.chain import build_chain
from bartizan.plugins.registry import guardrails
from bartizan.plugins.rules import load_rules
from bartizan.server import config_sources

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "clients/python/*.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
VARIABLE = re.compile(r"\bBARTIZAN_[A-Z_]+[A-Z]\b")
NO_SETTINGS = {"BARTIZAN_TEST_DATABASE_URL", *config_sources.OTHERS_VARIABLES}


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in FENCE.findall(page.read_text()) if name == language]


def rules_on(page: Path) -> list[str]:
    return [code for code in blocks(page, "yaml") if code.startswith("rules:")]


def anchors(page: Path) -> set[str]:
    """Returns the anchors of the headings of a page, as they are made where it is shown."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_tables_say_what_the_code_says() -> None:
    command = [sys.executable, "scripts/docs.py", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"run scripts/docs.py: {run.stdout}{run.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_variables_exist(page: Path) -> None:
    known = {*config_sources.variables(), *NO_SETTINGS}
    assert set(VARIABLE.findall(page.read_text())) <= known


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_compiles(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, named(page), "exec")


def test_settings_without_effect_are_said() -> None:
    server = ROOT / "server" / "bartizan" / "server"
    used = "".join(
        path.read_text() for path in server.rglob("*.py") if not path.name.startswith("config")
    )
    table, _, rest = (ROOT / "docs" / "configuration.md").read_text().partition("<!-- end -->")
    settings = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    idle = {key for key in settings if not re.search(rf"[.\"]{key.rpartition('.')[2]}\b", used)}
    [said] = re.findall(r"^- Without effect yet(.*?)\n- ", rest, re.MULTILINE | re.DOTALL) or [""]
    assert idle == set(re.findall(r"`([a-z_.]+)`", said))


def test_the_file_of_settings_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config_sources.variables():
        monkeypatch.delenv(name, raising=False)
    [code] = blocks(ROOT / "docs" / "configuration.md", "yaml")
    file = tmp_path / "bartizan.yaml"
    file.write_text(code)
    assert config_sources.load(file, {}).limits.queue_bytes == 256 * 1024 * 1024


@pytest.mark.parametrize("code", rules_on(ROOT / "README.md") + rules_on(ROOT / "docs/rules.md"))
async def test_rules_load(code: str) -> None:
    chain = build_chain(load_rules(code), guardrails(), hash_key=bytes(32))
    await chain.aclose()


def test_the_default_rules_are_those_that_can_be_copied() -> None:
    assert (ROOT / "deploy" / "rules" / "guardrails.yaml").read_text() == default_rules()


def test_the_first_trace_is_the_example() -> None:
    [told] = blocks(ROOT / "README.md", "python")
    assert (ROOT / "examples" / "first_trace.py").read_text().endswith(told)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The guardrail that CONTRIBUTING shows, as an installed package with a test."""
    page = ROOT / "CONTRIBUTING.md"
    module, test = blocks(page, "python")
    [registration] = blocks(page, "toml")
    entry = registration.split("\n", 1)[1].replace('"', "")
    installed = tmp_path / "codenames-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: codenames\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[bartizan.guardrails]\n{entry}")
    (tmp_path / "codenames.py").write_text(module)
    (tmp_path / "test_codenames.py").write_text(test)
    [rules] = rules_on(page)
    (tmp_path / "rules.yaml").write_text(rules)
    return tmp_path


def run_python(folder: Path, *arguments: str, stdin: str = "") -> str:
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_template_of_a_guardrail_conforms(template: Path) -> None:
    said = run_python(
        template, "-m", "pytest", "-q", "-o", "asyncio_mode=auto",
        "-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider",
    )  # fmt: skip
    assert " passed" in said
    assert "failed" not in said


def test_the_template_of_a_guardrail_scores(template: Path) -> None:
    out = run_python(
        template, "-m", "bartizan.guardrails", "score", "codenames",
        stdin='{"text": "Bluebird ships."}\n',
    )  # fmt: skip
    assert '"category": "codename.project"' in out


LOAD = """
from bartizan.plugins.chain import build_chain
from bartizan.plugins.registry import guardrails
from bartizan.plugins.rules import load_rules
build_chain(load_rules(open("rules.yaml").read()), guardrails(), hash_key=bytes(32))
"""


def test_the_template_of_a_rule_finds_its_guardrail(template: Path) -> None:
    run_python(template, "-c", LOAD)
