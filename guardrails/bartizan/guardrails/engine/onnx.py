"""Transformers in the ONNX format, run by onnxruntime on the processor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bartizan.guardrails.engine.onnx_runtime import onnxruntime
from bartizan.guardrails.engine.token_windows import Encoder, Integers, Window
from bartizan.plugins.errors import ConfigError

KNOWN_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})

LOGITS = "logits"
"""The output that is read, if there are several."""

DYNAMIC = b"DynamicQuantize"
"""Operators that choose the scale of all numbers of a batch together."""

ERRORS_ONLY = 3
"""The library's name for it."""

Logits = NDArray[np.float32]


class OnnxModel:
    """A model that was loaded. Serves many threads.

    Attributes:
        encoder: makes the windows that it takes.
        max_batch: how many windows it may be given at once: one, if the others in a batch would
            change a window's scores.
    """

    def __init__(
        self, model: bytes, encoder: Encoder, *, threads: int = 1, max_batch: int = 8
    ) -> None:
        """Loads a model. Raises ConfigError if it is none, or wants what no text has."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        # Each shape that comes along would be remembered.
        options.enable_mem_pattern = False
        # A thread that waits must not keep a core busy.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            told = f"onnxruntime cannot load the model: {type(error).__name__}"
            raise ConfigError("BAD_MODEL", told) from None
        self.encoder = encoder
        self.max_batch = 1 if DYNAMIC in model else max_batch
        self._inputs = self._checked_inputs()
        self._output = self._chosen_output()

    def run(self, windows: Sequence[Window]) -> list[Logits]:
        """Returns the logits of each window: of its labels, or of its labels by token."""
        [logits] = self._session.run([self._output], self._feed(windows))
        found = np.asarray(logits, np.float32)
        if found.ndim < 3:
            return list(found)
        return [one[: len(window.ids)] for one, window in zip(found, windows, strict=True)]

    def _feed(self, windows: Sequence[Window]) -> dict[str, Integers]:
        shape = len(windows), max(len(window.ids) for window in windows)
        ids = np.full(shape, self.encoder.padding, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: known[name].astype(kind) for name, kind in self._inputs.items()}

    def _checked_inputs(self) -> dict[str, type[np.integer[Any]]]:
        inputs = {one.name: one.type for one in self._session.get_inputs()}
        for name, kind in inputs.items():
            if name not in KNOWN_INPUTS or kind not in ("tensor(int64)", "tensor(int32)"):
                told = f"the model wants an input '{name}' of {kind}, which no text has"
                raise ConfigError("BAD_MODEL", told)
        return {
            name: np.int32 if kind == "tensor(int32)" else np.int64 for name, kind in inputs.items()
        }

    def _chosen_output(self) -> str:
        outputs: list[str] = [one.name for one in self._session.get_outputs()]
        if LOGITS in outputs:
            return LOGITS
        if len(outputs) > 1:
            raise ConfigError("BAD_MODEL", f"none of the model's outputs is called '{LOGITS}'")
        return outputs[0]
