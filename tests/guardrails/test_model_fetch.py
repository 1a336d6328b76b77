import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.guardrails.tiny_models import saved, text_scores, word_pieces

from bartizan.guardrails.__main__ import main
from bartizan.guardrails.classifier import Classifier, ClassifierConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """The far side: a repository, and the function that copies files of it into the cache."""

    def __init__(self, repository: Path, cache: Path) -> None:
        self.repository = repository
        self.cache = cache
        self.asked: list[tuple[str, str]] = []
        self.failure: Exception | None = None

    def snapshot_download(self, name: str, *, revision: str, allow_patterns: list[str]) -> str:
        self.asked.append((name, revision))
        if self.failure is not None:
            raise self.failure
        snapshot = self.cache / f"models--{name.replace('/', '--')}" / "snapshots" / revision
        for pattern in allow_patterns:
            for found in self.repository.glob(pattern):
                target = snapshot / found.relative_to(self.repository)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, target)
        return str(snapshot)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    import huggingface_hub
    from huggingface_hub import constants

    tokenizer = word_pieces()
    model = text_scores(tokenizer, {"fool": (3.0,)}, (-4.0,))
    saved(tmp_path / "repository", model, tokenizer, {"id2label": {"0": "insult"}})
    (tmp_path / "repository" / "own.py").write_text("raise SystemExit('run')")
    (tmp_path / "repository" / "pytorch_model.bin").write_bytes(b"pickle")
    made = Hub(tmp_path / "repository", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(made.cache))
    return made


def fetched(*arguments: str) -> int:
    return main(["fetch", "owner/name", "--revision", COMMIT, *arguments])


async def test_what_is_printed_is_what_a_rule_says(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetched() == 0
    document: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    content = (hub.repository / "model.onnx").read_bytes()
    assert document["model"]["sha256"]["model.onnx"] == hashlib.sha256(content).hexdigest()
    assert set(document["model"]["sha256"]) == {"model.onnx", "tokenizer.json", "config.json"}
    given = {**document, "labels": {"insult": {"category": "toxicity.insult"}}}
    guardrail = Classifier(ClassifierConfig.model_validate(given))
    await guardrail.start()
    await guardrail.aclose()
    assert hub.asked == [("owner/name", COMMIT)]


def test_nothing_that_could_be_run_is_fetched(hub: Hub) -> None:
    assert fetched() == 0
    names = {path.name for path in hub.cache.rglob("*.*")}
    assert names == {"model.onnx", "tokenizer.json", "config.json"}


def test_weights_that_are_not_there(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetched("--weights", "onnx/model.onnx") == 2
    assert "has no file 'onnx/model.onnx'" in capsys.readouterr().err


def test_a_hub_that_cannot_be_reached(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.failure = ConnectionError("token hf_secret")
    assert fetched() == 2
    told = capsys.readouterr().err
    assert told == "the model 'owner/name' cannot be fetched: ConnectionError\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["owner/name", "--revision", "main"], "'revision'"),
        (["name", "--revision", COMMIT], "'hub'"),
        (["owner/name", "--revision", COMMIT, "--weights", "../a"], "'weights'"),
    ],
)
def test_what_is_refused(
    hub: Hub, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["fetch", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not hub.asked


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert fetched() == 2
    assert "pip install 'huggingface-hub'" in capsys.readouterr().err
