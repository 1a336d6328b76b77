"""Layers are trained by torch and run by onnxruntime: both have to mean the same."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
tokenizers = pytest.importorskip("tokenizers")

from bartizan.guardrails.engine.second_model import SecondModel  # noqa: E402
from bartizan.guardrails.training.second_build import (  # noqa: E402
    lower_states,
    write_lower,
    write_upper,
)
from bartizan.guardrails.training.second_shape import WIDTH, LayerArrays  # noqa: E402
from bartizan.guardrails.training.second_states import States  # noqa: E402
from bartizan.guardrails.training.second_train import (  # noqa: E402
    SecondRecipe,
    Upper,
    told,
    trained,
)

LAYERS = 6
WORDS = ("open", "the", "vault", "door", "red", "green", "##s")
LETTERS = ("a", "b", "##a", "##b", "o", "##o")


@pytest.fixture
def stored() -> dict[str, np.ndarray]:
    """Returns an encoder of the right shape that knows nothing."""
    chance = np.random.default_rng(1)

    def random(*shape: int) -> np.ndarray:
        return (chance.normal(size=shape) * 0.05).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": random(4 + len(WORDS) + len(LETTERS), WIDTH),
        "embeddings.position_embeddings.weight": random(512, WIDTH),
        "embeddings.token_type_embeddings.weight": random(2, WIDTH),
        "embeddings.LayerNorm.weight": 1 + random(WIDTH),
        "embeddings.LayerNorm.bias": random(WIDTH),
    }
    shapes = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (4 * WIDTH, WIDTH),
        "output.dense": (WIDTH, 4 * WIDTH),
    }
    for layer in range(LAYERS):
        base = f"encoder.layer.{layer}."
        for name, shape in shapes.items():
            found[f"{base}{name}.weight"] = random(*shape)
            found[f"{base}{name}.bias"] = random(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"{base}{name}.weight"] = 1 + random(WIDTH)
            found[f"{base}{name}.bias"] = random(WIDTH)
    return found


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Returns a folder with a tokenizer of BERT's kind."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *LETTERS]
    vocabulary = {word: number for number, word in enumerate(words)}
    model = tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]")
    made = tokenizers.Tokenizer(model)
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_a_model_is_trained_written_and_read(
    stored: dict[str, np.ndarray], encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    hits, others = "open the vaults", "open the red door"
    texts = [f"{colour} {text}" for text in (hits, others) for colour in ("red", "green", "a b")]
    write_lower(out, encoder, stored, texts)
    seen = lower_states(out, texts)
    labels = np.array([[1.0]] * 3 + [[0.0]] * 3, np.float32)
    layers = [LayerArrays.of(stored, number) for number in (4, 5)]
    recipe = SecondRecipe(epochs=8, rate=1e-3, dropout=0.0, batch_tokens=64)
    lines: list[str] = []
    upper = trained(layers, seen, labels, np.ones_like(labels), recipe, lines.append)
    said = told(upper, seen, range(len(texts)))[:, 0]
    assert said[:3].min() > said[3:].max()
    assert lines
    write_upper(out, upper, {})
    model = SecondModel(out)
    shipped = [model.told(text)[0] for text in texts]
    assert min(shipped[:3]) > max(shipped[3:])
    assert shipped == pytest.approx(said.tolist(), abs=0.15 * float(np.ptp(said)))


def test_training_twice_gives_the_same(stored: dict[str, np.ndarray]) -> None:
    chance = np.random.default_rng(2)
    values = chance.normal(size=(6, WIDTH)).astype(np.float16)
    seen = States(values, np.array([0, 2, 4]), np.array([2, 2, 2]))
    labels = np.array([[1.0], [0.0], [1.0]], np.float32)
    layers = [LayerArrays.of(stored, 0)]
    said = [
        told(trained(layers, seen, labels, labels + 1, SecondRecipe(), print), seen, [0, 1, 2])
        for _ in range(2)
    ]
    assert (said[0] == said[1]).all()


def test_padding_changes_nothing(stored: dict[str, np.ndarray]) -> None:
    torch.manual_seed(1)
    upper = Upper([LayerArrays.of(stored, 0)], 2, 0.1).eval()
    state, mask = torch.randn(1, 5, WIDTH), torch.ones(1, 5)
    padded = torch.cat([state, torch.randn(1, 3, WIDTH)], dim=1)
    with torch.no_grad():
        alone = upper(state, mask)
        found = upper(padded, torch.cat([mask, torch.zeros(1, 3)], dim=1))
    assert torch.allclose(alone, found, atol=1e-5)


def test_words_that_are_cut_are_read_in_parts(
    stored: dict[str, np.ndarray], encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_lower(out, encoder, stored, ["open the doors"])
    kept = json.loads((out / "tokenizer.json").read_text())["model"]["vocab"]
    assert {"open", "the", "door", "##s"} <= kept.keys()
    assert "green" not in kept
    model = SecondModel(out)
    assert len(model.tokens("boa")) == 5
    assert model.run(model.tokens("boa")).shape == (5, WIDTH)
