"""Trains the upper layers of the encoder and its heads, on what the lower layers gave.

Needs `torch`, which the product does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from bartizan.guardrails.training.second_shape import (
    EPSILON,
    HEAD_WIDTH,
    HEADS,
    WIDTH,
    LayerArrays,
    PoolArrays,
)
from bartizan.guardrails.training.second_states import States, batches

SHUFFLED_TOGETHER = 4_000
"""Texts, of which those of about the same length make a batch."""


@dataclass(frozen=True, slots=True)
class SecondRecipe:
    """How to train.

    Attributes:
        epochs: how often to go through the texts.
        rate: the longest step of the layers.
        pool_rate: of the heads.
        batch_tokens: of a batch, padding included.
        warm_up: the share of the steps that get longer; the others get shorter.
        decay: how strongly weights are drawn to zero.
        dropout: the share of what goes in that is left out.
        seed: of the order, and of what is left out.
    """

    epochs: float = 2
    rate: float = 2e-4
    pool_rate: float = 2e-3
    batch_tokens: int = 1_536
    warm_up: float = 0.06
    decay: float = 0.01
    dropout: float = 0.1
    seed: int = 1


class _Layer(nn.Module):  # type: ignore[misc] # it has no types where it is not installed
    def __init__(self, arrays: LayerArrays) -> None:
        super().__init__()
        for name in LayerArrays.__slots__:
            values = torch.tensor(np.ascontiguousarray(getattr(arrays, name)))
            self.register_parameter(name, nn.Parameter(values))

    def forward(self, given: Tensor, veil: Tensor) -> Tensor:
        texts, tokens, _ = given.shape
        mixed = torch.addmm(self.mix_bias, given.view(-1, WIDTH), self.mix)
        parts = mixed.view(texts, tokens, 3, HEADS, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*parts, attn_mask=veil)
        seen = seen.transpose(1, 2).reshape(-1, WIDTH)
        seen = torch.addmm(self.out_bias, seen, self.out).view_as(given)
        first = self.first_scale, self.first_shift
        attended = functional.layer_norm(given + seen, (WIDTH,), *first, EPSILON)
        flat = attended.view(-1, WIDTH)
        wide = functional.gelu(torch.addmm(self.widen_bias, flat, self.widen))
        narrow = torch.addmm(self.narrow_bias, wide, self.narrow).view_as(given)
        second = self.second_scale, self.second_shift
        return functional.layer_norm(attended + narrow, (WIDTH,), *second, EPSILON)


class Upper(nn.Module):  # type: ignore[misc]
    """The upper layers, and a number per head made of the tokens that matter to it."""

    def __init__(self, layers: Sequence[LayerArrays], heads: int, dropout: float) -> None:
        """Takes the layers as they were pretrained."""
        super().__init__()
        self.layers = nn.ModuleList(_Layer(layer) for layer in layers)
        self.dropout = nn.Dropout(dropout)
        self.query = nn.Parameter(torch.randn(WIDTH, heads) * 0.02)
        self.value = nn.Parameter(torch.randn(WIDTH, heads) * 0.02)
        self.bias = nn.Parameter(torch.zeros(heads))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Returns one number per text and head."""
        veil = (mask > 0)[:, None, None, :]
        states = self.dropout(states)
        for layer in self.layers:
            states = layer(states, veil)
        states = self.dropout(states)
        asked = (states @ self.query).masked_fill(mask[:, :, None] == 0, -1e4)
        said = torch.softmax(asked, dim=1) * (states @ self.value)
        return said.sum(dim=1) + self.bias

    def arrays(self) -> tuple[list[LayerArrays], PoolArrays]:
        """Returns the weights."""
        kept = [
            LayerArrays(*(getattr(layer, name).detach().numpy() for name in LayerArrays.__slots__))
            for layer in self.layers
        ]
        pool = (one.detach().numpy() for one in (self.query, self.value, self.bias))
        return kept, PoolArrays(*pool)


def trained(
    layers: Sequence[LayerArrays],
    states: States,
    labels: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    recipe: SecondRecipe,
    tell: Callable[[str], None],
) -> Upper:
    """Returns the upper layers trained to tell texts with label 1 from those with 0.

    Labels and weights have a row per text and a column per head; what has no weight is not
    learned from. `tell` gets a line about progress now and then.
    """
    torch.manual_seed(recipe.seed)
    model = Upper(layers, labels.shape[1], recipe.dropout)
    plan = _plan(states.sizes, np.flatnonzero(weights.any(axis=1)), recipe)
    optimiser, schedule = _optimiser(model, recipe, len(plan))
    model.train()
    losses: list[float] = []
    for step, chosen in enumerate(plan):
        given, mask = states.batch(chosen)
        told = model(torch.from_numpy(given), torch.from_numpy(mask))
        wanted, worth = (torch.from_numpy(one[chosen]) for one in (labels, weights))
        loss = functional.binary_cross_entropy_with_logits(told, wanted, worth, reduction="sum")
        loss = loss / len(chosen)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % 100 == 0:
            tell(f"step {step} of {len(plan)}, loss {np.mean(losses[-100:]):.4f}")
    model.eval()
    return model


def told(model: Upper, states: States, chosen: Sequence[int]) -> npt.NDArray[np.float32]:
    """Returns what a model says of some texts, a row per text."""
    found = np.zeros((len(chosen), len(model.bias)), np.float32)
    sizes = states.sizes[chosen].tolist()
    with torch.no_grad():
        for places in batches(sizes, 4_096):
            given, mask = states.batch([chosen[place] for place in places])
            found[places] = model(torch.from_numpy(given), torch.from_numpy(mask)).numpy()
    return found


def _plan(sizes: Any, chosen: Any, recipe: SecondRecipe) -> list[list[int]]:
    chance = np.random.default_rng(recipe.seed)
    rounds = [chance.permutation(chosen) for _ in range(int(np.ceil(recipe.epochs)))]
    order = np.concatenate(rounds)[: int(recipe.epochs * len(chosen))]
    plan: list[list[int]] = []
    for start in range(0, len(order), SHUFFLED_TOGETHER):
        part = order[start : start + SHUFFLED_TOGETHER]
        made = [part[places].tolist() for places in batches(sizes[part], recipe.batch_tokens)]
        plan += [made[place] for place in chance.permutation(len(made))]
    return plan


def _optimiser(model: Upper, recipe: SecondRecipe, steps: int) -> tuple[Any, Any]:
    pool = [model.query, model.value, model.bias]
    known = {id(one) for one in pool}
    layers = [one for one in model.parameters() if id(one) not in known]
    groups = [{"params": layers, "lr": recipe.rate}, {"params": pool, "lr": recipe.pool_rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.decay)
    warm = max(1, int(recipe.warm_up * steps))

    def share(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)
