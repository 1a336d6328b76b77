"""What models give, as probabilities."""

import numpy as np
from numpy.typing import NDArray

SCORE_DIGITS = 4
"""Those behind them depend on what else was in a batch."""


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a probability for each number by itself."""
    # As tanh it cannot overflow.
    halves: NDArray[np.float64] = (1 + np.tanh(logits / 2)) / 2
    return halves


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns probabilities that add up to 1 along the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return shares
