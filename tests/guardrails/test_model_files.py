import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.guardrails.asked import refused

from bartizan.guardrails.engine.model_files import Facts, ModelFiles, ModelSource, facts
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = b"weights"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "model"
    (home / "onnx").mkdir(parents=True)
    (home / "model.onnx").write_bytes(WEIGHTS)
    (home / "onnx" / "small.onnx").write_bytes(WEIGHTS)
    return home


def files(folder: Path, **document: Any) -> ModelFiles:
    given = {"path": str(folder), "sha256": {"model.onnx": DIGEST}, **document}
    return ModelFiles(parse_config(ModelSource, given, "model"))


def test_a_file_is_read_if_it_is_the_one_that_was_meant(folder: Path) -> None:
    assert files(folder).read("model.onnx") == WEIGHTS
    files(folder).check_all()
    (folder / "model.onnx").write_bytes(b"others")
    for look in (files(folder).read, files(folder).check):
        with pytest.raises(ConfigError, match=r"'model\.onnx' has another SHA-256 than it should"):
            look("model.onnx")
    with pytest.raises(ConfigError):
        files(folder).check_all()


def test_the_weights_need_a_checksum(folder: Path) -> None:
    assert files(folder).weights("model.onnx") == "model.onnx"
    with pytest.raises(ConfigError, match=r"'sha256' must say what 'onnx/small\.onnx' is"):
        files(folder, weights="onnx/small.onnx").weights("model.onnx")
    known = files(folder, weights="onnx/small.onnx", sha256={"onnx/small.onnx": DIGEST})
    assert known.read(known.weights("model.onnx")) == WEIGHTS


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no file 'tokenizer\.json'"):
        files(folder).read("tokenizer.json")
    with pytest.raises(ConfigError, match=r"nowhere' is not on this machine$"):
        files(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "..\\secret"])
def test_names_stay_in_the_folder(name: str) -> None:
    for key in ("weights", "tokenizer"):
        said = refused(ModelSource, path="/models", sha256={}, **{key: name})
        assert f"'{key}': this must be the name of a file" in said


def test_links_stay_in_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (folder / "config.json").symlink_to(tmp_path / "secret")
    (folder / "inside.onnx").symlink_to(folder / "model.onnx")
    with pytest.raises(ConfigError, match=r"'config\.json' leads out of its folder"):
        files(folder).config()
    assert files(folder).read("inside.onnx") == WEIGHTS


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "'sha256' is required"),
        ({"sha256": {}}, "either 'path' or 'hub'"),
        ({"sha256": {}, "path": "a", "hub": "a/b", "revision": COMMIT}, "either 'path' or 'hub'"),
        ({"sha256": {}, "hub": "a/b"}, "'hub' and 'revision' belong together"),
        ({"sha256": {}, "path": "a", "revision": COMMIT}, "'hub' and 'revision' belong together"),
        ({"sha256": {}, "hub": "a/b", "revision": "main"}, "'revision': String should match"),
        ({"sha256": {}, "hub": "../b", "revision": COMMIT}, "'hub': String should match"),
        ({"sha256": {}, "hub": "a/../b", "revision": COMMIT}, "'hub': String should match"),
        ({"sha256": {"a": "x"}, "path": "a"}, "64 hexadecimal digits"),
        ({"sha256": {"a": "A" * 64}, "path": "a"}, "64 hexadecimal digits"),
    ],
)
def test_sources_that_are_refused(document: dict[str, Any], said: str) -> None:
    assert said in refused(ModelSource, **document)


def test_a_model_from_the_hub_is_where_its_cache_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--owner--name"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "blobs" / DIGEST).write_bytes(WEIGHTS)
    (snapshot / "model.onnx").symlink_to(home / "blobs" / DIGEST)
    (snapshot / "config.json").symlink_to(folder / "model.onnx")
    source = {"path": None, "hub": "owner/name", "revision": COMMIT}
    assert files(folder, **source).read("model.onnx") == WEIGHTS
    with pytest.raises(ConfigError, match="leads out of its folder"):
        files(folder, **source).config()


def test_a_model_that_was_not_fetched_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError) as raised:
        files(tmp_path, path=None, hub="owner/name", revision=COMMIT)
    command = f"python -m bartizan.guardrails fetch owner/name --revision {COMMIT}"
    assert str(raised.value).endswith(f"is not on this machine; try: {command}")


def test_a_local_model_needs_no_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert files(folder).read("model.onnx") == WEIGHTS
    with pytest.raises(ImportError, match="huggingface_hub"):
        files(folder, path=None, hub="owner/name", revision=COMMIT)


def test_facts_of_a_model() -> None:
    named = {"0": "safe", "1": "attack"}
    assert facts({"id2label": named}) == Facts(("safe", "attack"), None)
    several = {"problem_type": "multi_label_classification", "id2label": named}
    assert facts(several).several is True
    assert facts({"problem_type": "single_label_classification"}) == Facts((), False)
    ten = {str(number): f"l{number}" for number in range(12)}
    assert facts({"id2label": ten}).labels[10] == "l10"
    assert facts({}) == Facts((), None)


@pytest.mark.parametrize("named", [{"1": "a"}, {"0": "a", "2": "b"}, {"x": "a"}, ["a"], "a"])
def test_labels_that_cannot_be(named: object) -> None:
    with pytest.raises(ConfigError, match="does not number the labels"):
        facts({"id2label": named})


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "\xff"])
def test_a_config_that_is_none(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, "latin-1")
    with pytest.raises(ConfigError, match=r"'config\.json' is no JSON object"):
        files(folder).config()


def test_a_config_can_be_pinned(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"a": 1}))
    assert files(folder).config() == {"a": 1}
    with pytest.raises(ConfigError, match="another SHA-256"):
        files(folder, sha256={"config.json": DIGEST}).config()
