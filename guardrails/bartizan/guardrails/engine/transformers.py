"""Transformers in the form of the library of that name, run by torch where one likes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# First, so that it is what is missed if it is missing.
import torch
import transformers
from numpy.typing import NDArray

from bartizan.guardrails.engine.model_files import Head, ModelFiles
from bartizan.guardrails.engine.token_windows import Encoder, Window
from bartizan.plugins.errors import ConfigError

WEIGHTS = "model.safetensors"
"""The one form that is loaded: it holds numbers and nothing that could be run."""

Logits = NDArray[np.float32]

# It would draw bars and write of weights that are missing; what matters is raised.
_messages: Any = transformers.logging
_messages.disable_progress_bar()
_messages.set_verbosity_error()


AUTO: Mapping[Head, str] = {
    Head.TEXT: "AutoModelForSequenceClassification",
    Head.TOKENS: "AutoModelForTokenClassification",
}


class TransformersModel:
    """A model that was loaded. Serves many threads.

    Attributes:
        encoder: makes the windows that it takes.
        max_batch: how many windows it may be given at once.
    """

    def __init__(
        self,
        files: ModelFiles,
        head: Head,
        *,
        max_tokens: int,
        overlap: int,
        max_batch: int = 8,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        """Loads a model. Runs no code of it. Raises ConfigError if it cannot be loaded."""
        if files.weights(WEIGHTS) != WEIGHTS:
            raise files.wrong(f"only '{WEIGHTS}' is loaded, no other weights")
        files.check_all()
        self.max_batch = max_batch
        self.encoder = Encoder(_tokenizer(files), max_tokens, overlap)
        self._threads = threads
        self._device = device
        self._model = _model(files, head, device)

    def run(self, windows: Sequence[Window]) -> list[Logits]:
        """Returns the logits of each window: of its labels, or of its labels by token."""
        shape = len(windows), max(len(window.ids) for window in windows)
        ids = torch.full(shape, self.encoder.padding, dtype=torch.int64)
        mask = torch.zeros(shape, dtype=torch.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = torch.from_numpy(window.ids)
            mask[row, : len(window.ids)] = 1
        # It counts for the thread that calls.
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            given = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.to(self._device)
            )
        found: Logits = given.logits.float().cpu().numpy()
        if found.ndim < 3:
            return list(found)
        return [one[: len(window.ids)] for one, window in zip(found, windows, strict=True)]


def _tokenizer(files: ModelFiles) -> Any:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except ImportError:
        raise
    except Exception as error:
        raise files.wrong(f"its tokenizer cannot be loaded: {type(error).__name__}") from None
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise files.wrong("its tokenizer cannot say where its tokens stand")
    return fast


def _model(files: ModelFiles, head: Head, device: str) -> Any:
    auto = getattr(transformers, AUTO[head])
    try:
        model, said = auto.from_pretrained(
            files.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
        if said["missing_keys"]:
            raise files.wrong("it was not trained for this, for some weights are missing")
        return model.eval().to(device)
    except (ConfigError, ImportError):
        raise
    except Exception as error:
        raise files.wrong(f"it cannot be loaded: {type(error).__name__}") from None
