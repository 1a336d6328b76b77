"""What the encoder of the second look consists of: sizes, and its weights by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

WIDTH = 384
HEADS = 12
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12

Weights = npt.NDArray[np.float32]
Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LayerArrays:
    """The weights of one layer. Matrices are as `given @ matrix` takes them.

    Attributes:
        mix, mix_bias: make query, key and value of attention, side by side.
        out, out_bias: what attention gives back.
        first_scale, first_shift: of the normalisation after attention.
        widen, widen_bias, narrow, narrow_bias: of the two steps that follow.
        second_scale, second_shift: of the normalisation after those.
    """

    mix: Weights
    mix_bias: Weights
    out: Weights
    out_bias: Weights
    first_scale: Weights
    first_shift: Weights
    widen: Weights
    widen_bias: Weights
    narrow: Weights
    narrow_bias: Weights
    second_scale: Weights
    second_shift: Weights

    @classmethod
    def of(cls, stored: Stored, number: int) -> Self:
        """Returns a layer of a stored model of BERT's kind."""
        base = f"encoder.layer.{number}."
        attention = [f"{base}attention.self.{name}" for name in ("query", "key", "value")]
        mix = np.concatenate([stored[f"{name}.weight"].T for name in attention], axis=1)
        mix_bias = np.concatenate([stored[f"{name}.bias"] for name in attention])
        return cls(
            mix,
            mix_bias,
            *_dense(stored, f"{base}attention.output.dense"),
            *_norm(stored, f"{base}attention.output.LayerNorm"),
            *_dense(stored, f"{base}intermediate.dense"),
            *_dense(stored, f"{base}output.dense"),
            *_norm(stored, f"{base}output.LayerNorm"),
        )


@dataclass(frozen=True, slots=True)
class PoolArrays:
    """What turns the tokens of a text into a number per head."""

    query: Weights
    value: Weights
    bias: Weights


def start_arrays(stored: Stored, tokens: int) -> dict[str, Weights]:
    """Returns what is added to the words of a text of at most so many tokens, and its scale."""
    kind = stored["embeddings.token_type_embeddings.weight"][0]
    scale, shift = _norm(stored, "embeddings.LayerNorm")
    positions = stored["embeddings.position_embeddings.weight"][:tokens] + kind
    return {"positions": positions, "scale": scale, "shift": shift}


def _dense(stored: Stored, name: str) -> tuple[Weights, Weights]:
    return stored[f"{name}.weight"].T, stored[f"{name}.bias"]


def _norm(stored: Stored, name: str) -> tuple[Weights, Weights]:
    return stored[f"{name}.weight"], stored[f"{name}.bias"]
