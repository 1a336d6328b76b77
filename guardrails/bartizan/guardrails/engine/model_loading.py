"""Loads models, each once, however many guardrails use it."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from bartizan.guardrails.engine.batching import Batches
from bartizan.guardrails.engine.model_config import Engine, ModelConfig
from bartizan.guardrails.engine.model_files import Facts, Head, ModelFiles, facts

if TYPE_CHECKING:
    # It needs a package that not everybody has installed.
    from bartizan.guardrails.engine.token_windows import Encoder, Window

ONNX_WEIGHTS = "model.onnx"

MAKE_A_MODEL = {
    *("model", "engine", "label_names", "max_tokens", "overlap"),
    *("max_batch", "threads", "device"),
}
"""Guardrails that agree in these share a model."""

SCORED = {Head.TEXT: "texts as a whole", Head.TOKENS: "each token"}

Logits = NDArray[np.float32]


class Model(Protocol):
    """A model that was loaded, whatever runs it."""

    @property
    def encoder(self) -> "Encoder":
        """What makes the windows that it takes."""
        ...

    @property
    def max_batch(self) -> int:
        """How many windows it may be given at once."""
        ...

    def run(self, windows: Sequence["Window"]) -> list[Logits]:
        """Returns the logits of each window: of its labels, or of its labels by token."""
        ...


class Loaded:
    """A model with its threads and its queue. They end with the last that holds it.

    Attributes:
        facts: what the model says of itself.
        encoder: makes the windows that it takes.
        batches: judges windows.
        thread: for all other work on its texts.
    """

    def __init__(self, model: Model, known: Facts) -> None:
        self.facts = known
        self.encoder = model.encoder
        self.batches: Batches[Window, Logits] = Batches(partial(_run, model), model.max_batch)
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")


_loaded: WeakValueDictionary[str, Loaded] = WeakValueDictionary()
_loading = threading.Lock()


def loaded(config: ModelConfig, head: Head) -> Loaded:
    """Returns a model, loaded and tried; the same one while somebody holds it.

    Raises ConfigError if it cannot be used, ImportError if a package is missing.
    """
    same = f"{head} {config.model_dump_json(include=MAKE_A_MODEL)}"
    with _loading:
        found = _loaded.get(same)
        if found is None:
            found = _loaded[same] = _load(config, head)
    return found


def _load(config: ModelConfig, head: Head) -> Loaded:
    files = ModelFiles(config.model)
    labels, several = facts(files.config())
    known = Facts(config.label_names or labels, several)
    if not known.labels:
        raise files.wrong("neither config.json nor 'label_names' says what its scores are about")
    make = _onnx if config.engine is Engine.ONNX else _transformers
    model = make(config, files, head)
    _try(model, files, head, len(known.labels))
    return Loaded(model, known)


def _onnx(config: ModelConfig, files: ModelFiles, head: Head) -> Model:
    from bartizan.guardrails.engine.onnx import OnnxModel
    from bartizan.guardrails.engine.token_windows import Encoder

    weights = files.read(files.weights(ONNX_WEIGHTS))
    tokenizer = files.read(config.model.tokenizer)
    encoder = Encoder.from_json(tokenizer, config.max_tokens, config.overlap)
    return OnnxModel(weights, encoder, threads=config.threads, max_batch=config.max_batch)


def _transformers(config: ModelConfig, files: ModelFiles, head: Head) -> Model:
    from bartizan.guardrails.engine.transformers import TransformersModel

    return TransformersModel(
        files,
        head,
        max_tokens=config.max_tokens,
        overlap=config.overlap,
        max_batch=config.max_batch,
        threads=config.threads,
        device=config.device,
    )


def _try(model: Model, files: ModelFiles, head: Head, labels: int) -> None:
    """Raises ConfigError if the scores of a model are not what they are used for."""
    longest = model.encoder.longest()
    try:
        [logits] = model.run([longest])
    except Exception as error:
        told = f"it cannot judge {len(longest.ids)} tokens at once: {type(error).__name__}"
        raise files.wrong(told) from None
    if logits.shape[:-1] != (() if head is Head.TEXT else longest.ids.shape):
        raise files.wrong(f"it does not score {SCORED[head]}")
    if logits.shape[-1] != labels:
        raise files.wrong(f"it gives {logits.shape[-1]} scores, and there are {labels} labels")


def _run(model: Model, windows: Sequence["Window"]) -> list[Logits]:
    found = model.run(windows)
    if not all(np.isfinite(logits).all() for logits in found):
        raise ArithmeticError("the model gave what is no number")
    return found
