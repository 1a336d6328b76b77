"""The files of a model of one's own: where they are, and that they are the ones that were meant."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.errors import ConfigError

MAX_FILES = 32
READ_BYTES = 1 << 20

HUB_ID = r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$"
COMMIT = "^[0-9a-f]{40}$"
SHA256 = "^[0-9a-f]{64}$"

CONFIG = "config.json"


class ModelSource(PluginConfig):
    """Where a model is, and what its files must be."""

    path: Path | None = Field(None, description="A folder with the files of the model.")
    hub: str | None = Field(
        None,
        pattern=HUB_ID,
        description="Its name on the Hugging Face hub, `owner/name`, if it was fetched from there.",
    )
    revision: str | None = Field(
        None, pattern=COMMIT, description="With `hub`: the commit, 40 hexadecimal digits."
    )
    weights: str | None = Field(
        None, description="The file with the weights. Default: model.onnx or model.safetensors."
    )
    tokenizer: str = Field("tokenizer.json", description="The file with the tokenizer.")
    sha256: dict[str, str] = Field(
        max_length=MAX_FILES,
        description="The SHA-256 of files, 64 hexadecimal digits each. That of the weights is "
        "required.",
    )

    @field_validator("weights", "tokenizer")
    @classmethod
    def _stays_inside(cls, name: str | None) -> str | None:
        parts = PurePosixPath(name or "x")
        if parts.is_absolute() or ".." in parts.parts or "\\" in str(parts):
            raise ValueError("this must be the name of a file in the model's folder")
        return name

    @field_validator("sha256")
    @classmethod
    def _are_digests(cls, digests: dict[str, str]) -> dict[str, str]:
        for digest in digests.values():
            if len(digest) != 64 or digest.strip("0123456789abcdef"):
                raise ValueError("a SHA-256 is 64 hexadecimal digits in lower case")
        return digests

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("a model has either 'path' or 'hub'")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("'hub' and 'revision' belong together")
        return self

    @property
    def named(self) -> str:
        """What a person is told it is."""
        return f"the model '{self.hub or self.path}'"


class ModelFiles:
    """The files of a model on this machine. Nothing is fetched from anywhere."""

    def __init__(self, source: ModelSource) -> None:
        """Finds the folder. Raises ConfigError if it is not there."""
        self.source = source
        self._root = _hub_cache(source) if source.path is None else source.path
        self.folder = self._root
        if source.path is None:
            self.folder = self._root / "snapshots" / str(source.revision)
        if not self.folder.is_dir():
            raise ConfigError(
                "MODEL_MISSING", f"{source.named} is not on this machine{_how(source)}"
            )

    def path(self, name: str) -> Path:
        """Returns where a file is. Raises ConfigError if it is not there, or outside."""
        found = (self.folder / name).resolve()
        if not found.is_relative_to(self._root.resolve()):
            raise self.wrong(f"'{name}' leads out of its folder")
        if not found.is_file():
            raise ConfigError("MODEL_MISSING", f"{self.source.named} has no file '{name}'")
        return found

    def read(self, name: str) -> bytes:
        """Returns a file. Raises ConfigError if it is missing or not the one that was meant."""
        content = self.path(name).read_bytes()
        self._check(name, hashlib.sha256(content).hexdigest())
        return content

    def check(self, name: str) -> None:
        """Raises ConfigError if a file is missing or not the one that was meant."""
        self._check(name, digest_of(self.path(name)))

    def check_all(self) -> None:
        """Raises ConfigError if any file with a checksum is not the one that was meant."""
        for name in self.source.sha256:
            self.check(name)

    def weights(self, default: str) -> str:
        """Returns the name of the file with the weights. Raises ConfigError without a checksum."""
        name = self.source.weights or default
        if name not in self.source.sha256:
            raise self.wrong(f"'sha256' must say what '{name}' is")
        return name

    def config(self) -> Mapping[str, Any]:
        """Returns what `config.json` says; nothing if there is none."""
        if not (self.folder / CONFIG).exists():
            return {}
        try:
            document = json.loads(self.read(CONFIG))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self.wrong(f"'{CONFIG}' is no JSON object")
        return document

    def _check(self, name: str, digest: str) -> None:
        if self.source.sha256.get(name, digest) != digest:
            raise ConfigError(
                "MODEL_CHANGED", f"{self.source.named}: '{name}' has another SHA-256 than it should"
            )

    def wrong(self, fault: str) -> ConfigError:
        """Returns the error that says what is wrong with the model."""
        return ConfigError("BAD_MODEL", f"{self.source.named}: {fault}")


class Head(StrEnum):
    """What a model scores."""

    TEXT = "text"
    TOKENS = "tokens"


class Facts(NamedTuple):
    """What a model says of itself.

    Attributes:
        labels: what its scores are about, in their order; empty if it does not say.
        several: True if several labels may be true at once, None if it does not say.
    """

    labels: tuple[str, ...]
    several: bool | None


def facts(config: Mapping[str, Any]) -> Facts:
    """Returns what a `config.json` says of the scores. Raises ConfigError if that cannot be."""
    kinds = {"multi_label_classification": True, "single_label_classification": False}
    several = kinds.get(str(config.get("problem_type")))
    named = config.get("id2label") or {}
    try:
        numbered = sorted((int(number), str(label)) for number, label in named.items())
    except (AttributeError, ValueError):
        numbered = [(-1, "")]
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise ConfigError("BAD_MODEL", f"'id2label' in {CONFIG} does not number the labels from 0")
    return Facts(tuple(label for _, label in numbered), several)


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hub_cache(source: ModelSource) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{str(source.hub).replace('/', '--')}"


def _how(source: ModelSource) -> str:
    if source.hub is None:
        return ""
    command = f"python -m bartizan.guardrails fetch {source.hub} --revision {source.revision}"
    return f"; try: {command}"
