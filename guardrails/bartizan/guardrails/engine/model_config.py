"""What every guardrail with a model of one's own is told."""

from enum import StrEnum

from pydantic import Field

from bartizan.guardrails.engine.model_files import ModelSource
from bartizan.plugins.config import PluginConfig


class Engine(StrEnum):
    """What runs a model."""

    ONNX = "onnx"
    TRANSFORMERS = "transformers"


class ModelConfig(PluginConfig):
    """What every guardrail with a model of one's own is told."""

    operator_keys = frozenset({"model", "device", "threads"})

    model: ModelSource = Field(description="The files of the model.")
    engine: Engine = Field(
        Engine.ONNX,
        description="What runs it: `onnx`: onnxruntime; `transformers`: transformers and torch.",
    )
    label_names: tuple[str, ...] = Field(
        (),
        max_length=1_000,
        description="What the scores are about, in their order, if config.json does not say it.",
    )
    max_tokens: int = Field(512, ge=16, le=8_192, description="The size of a window, in tokens.")
    overlap: int = Field(
        64, ge=0, le=4_096, description="What two windows of a long text share, in tokens."
    )
    max_windows: int = Field(
        64, ge=1, le=4_096, description="How many windows of one text are judged, from its start."
    )
    report_unjudged: bool = Field(
        True, description="Whether what lies beyond is reported as a finding."
    )
    max_batch: int = Field(8, ge=1, le=256, description="How many windows are judged in one go.")
    threads: int = Field(1, ge=1, le=256, description="Threads that judge one batch.")
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|mps|cuda(:\d{1,2})?)$",
        description="Where `transformers` runs it: `cpu`, `cuda`, `cuda:1`, `mps`.",
    )
