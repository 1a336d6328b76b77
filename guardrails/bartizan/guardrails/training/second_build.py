"""Builds the model of the second look: `python -m bartizan.guardrails.training.second_build`."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.linear_model import LinearModel
from bartizan.guardrails.engine.second_model import SecondModel, logit
from bartizan.guardrails.engine.second_text import TOKENS
from bartizan.guardrails.training.corpus import Row, read
from bartizan.guardrails.training.examples import written_hate
from bartizan.guardrails.training.heads import HEADS as FIRST_HEADS
from bartizan.guardrails.training.heads import SEED, is_traffic
from bartizan.guardrails.training.second_examples import (
    HEADS,
    Example,
    Looked,
    examples,
    looked,
    of_hate,
)
from bartizan.guardrails.training.second_folds import (
    ABUSE_GROUPS,
    Question,
    all_questions,
    doubt_of,
    labels_and_weights,
    left_out,
    measured,
)
from bartizan.guardrails.training.second_graph import write_layers
from bartizan.guardrails.training.second_judge import Told, judged
from bartizan.guardrails.training.second_shape import LayerArrays, start_arrays
from bartizan.guardrails.training.second_states import States, states
from bartizan.guardrails.training.second_words import cut_table, cut_tokenizer, kept_tokens

UNCONFIRMED = frozenset({"hackaprompt"})
"""Sources whose licence is told by others only: they measure, and no model learns from them."""

LOWER = ((0, 2), (2, 4))
UPPER = (4, 6)
"""Layers that stay as they are, a file each, and those that are trained."""

EPOCHS = 1.0
GROUP_EPOCHS = 0.5
"""For models that only measure, of which there are several."""

ABOUT = "heads.json"
OUTPUT = Path(__file__).parents[3] / "models" / "bartizan" / "models"

ONLY_LEARNED = "toxicity_hate"
"""Teaches the layers. The first look that chooses its texts is that of abuse, so that there is no
telling what both looks together would score."""

LEAST_WEIGHT = 0.1
"""Of the second look: a head to which it adds less is left to the first."""

Tell = Callable[[str], None]
Stored = Mapping[str, npt.NDArray[np.float32]]


class Material(NamedTuple):
    """What there is to learn from and to measure with.

    Attributes:
        looked: what the first look says of the examples, by head.
        examples: to learn from.
        questions: to measure with.
    """

    looked: Mapping[str, Looked]
    examples: Sequence[Example]
    questions: Sequence[Question]

    def texts(self) -> list[str]:
        """Returns every stretch once."""
        texts = [example.text for example in self.examples]
        return list(dict.fromkeys(texts + [question.text for question in self.questions]))


def material(rows: Mapping[str, Sequence[Row]]) -> Material:
    """Returns what there is, given the rows of injection and of toxicity."""
    _, _, abuse, hate = HEADS
    found = {name: looked(FIRST_HEADS[name], rows[FIRST_HEADS[name].data]) for name in HEADS[:3]}
    found[hate] = of_hate(found[abuse], written_hate(SEED))
    return Material(found, examples(found, UNCONFIRMED, SEED), all_questions(found, SEED))


def write_lower(folder: Path, encoder: Path, stored: Stored, texts: Sequence[str]) -> None:
    """Writes the words and the layers that are not trained: a model without heads."""
    tokenizer = encoder / "tokenizer.json"
    tokens = kept_tokens(tokenizer, texts)
    (folder / "tokenizer.json").write_text(cut_tokenizer(tokenizer, tokens), "utf-8")
    words = stored["embeddings.word_embeddings.weight"]
    table, units = cut_table(tokenizer, words, tokens)
    np.savez(folder / "words.npz", table=table, units=units)
    for number, (first, last) in enumerate(LOWER, 1):
        layers = [LayerArrays.of(stored, place) for place in range(first, last)]
        start = start_arrays(stored, TOKENS) if first == 0 else None
        write_layers(folder / _layers_file(number), layers, start, None)
    _write_about(folder, len(LOWER), {})


def lower_states(folder: Path, texts: Sequence[str]) -> States:
    """Returns what the layers in a folder give for each text."""
    model = SecondModel(folder)
    return states([model.tokens(text) for text in texts], model.run)


def judgements(given: Material, told: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Returns how each head comes to its score, given what was said to each question.

    Heads that gain nothing are left out.
    """
    found: dict[str, Any] = {}
    for number, head in enumerate(HEADS):
        judgement = judged(answers(head, given, told[:, number], UNCONFIRMED))
        if head != ONLY_LEARNED and judgement["second"] >= LEAST_WEIGHT:
            doubt = LinearModel.load(head).probability(doubt_of(given.looked[head]))
            found[head] = {"output": number, "doubt": round(doubt, 4), **judgement}
    return found


def answers(
    head: str, given: Material, told: npt.NDArray[np.float32], without: frozenset[str]
) -> Told:
    """Returns what both looks say of the texts of one head, but for those of some sources."""
    model, one = LinearModel.load(head), given.looked[head]
    mine = [
        place
        for place, question in enumerate(given.questions)
        if question.head == head and one.rows[question.row].source not in without
    ]
    places = [given.questions[place].row for place in mine]
    first = np.array([logit(model.probability(total)) for total in one.sums[places]])
    rows = [one.rows[place] for place in places]
    doubt = doubt_of(one)
    cleared = [one.rows[place] for place in measured(one) if one.sums[place] < doubt]
    return Told(
        first,
        told[mine].astype(np.float64),
        np.array([row.label for row in rows]),
        np.array([given.questions[place].worth for place in mine]),
        np.array([is_traffic(row) for row in rows]),
        sum(map(is_traffic, cleared)),
        (sum(row.label for row in cleared), sum(not row.label for row in cleared)),
    )


def write_upper(folder: Path, upper: Any, heads: Mapping[str, Any]) -> None:
    """Adds the layers that were trained, and the heads."""
    layers, pool = upper.arrays()
    number = len(LOWER) + 1
    write_layers(folder / _layers_file(number), layers, None, pool)
    _write_about(folder, number, heads)


def build(
    rows: Mapping[str, Sequence[Row]], encoder: Path, out: Path, tell: Tell
) -> npt.NDArray[np.float32]:
    """Writes the model into a folder. The same rows give the same model on the same processor.

    Returns what models that had not seen their source said to the questions.
    """
    # Only here: it is not needed to read the rest of this module.
    from safetensors.numpy import load_file

    from bartizan.guardrails.training.second_train import SecondRecipe, Upper, told, trained

    stored = load_file(encoder / "model.safetensors")
    given = material(rows)
    texts = given.texts()
    tell(f"{len(given.examples)} examples, {len(given.questions)} questions")
    write_lower(out, encoder, stored, texts)
    seen = lower_states(out, texts)
    at = {text: place for place, text in enumerate(texts)}
    learned = seen.of([at[example.text] for example in given.examples])
    asked = seen.of([at[question.text] for question in given.questions])
    layers = [LayerArrays.of(stored, place) for place in range(*UPPER)]

    def fitted(without: frozenset[str], epochs: float) -> Upper:
        wanted = labels_and_weights(given.examples, without)
        return trained(layers, learned, *wanted, SecondRecipe(epochs=epochs), tell)

    said = np.zeros((len(given.questions), len(HEADS)), np.float32)
    for group in range(len(ABUSE_GROUPS)):
        mine = [place for place, one in enumerate(given.questions) if one.group == group]
        said[mine] = told(fitted(left_out(group), GROUP_EPOCHS), asked, mine)
    write_upper(out, fitted(frozenset(), EPOCHS), judgements(given, said))
    return said


def main() -> int:
    """Writes the model; returns 2 if the data or the encoder is not there."""
    chosen = _parser().parse_args()
    wanted = [chosen.data / f"{name}.jsonl.gz" for name in ("injection", "toxicity")]
    wanted.append(chosen.encoder / "model.safetensors")
    for path in wanted:
        if not path.is_file():
            print(f"no file {path}", file=sys.stderr)  # noqa: T201
            return 2
    rows = {name: read(chosen.data / f"{name}.jsonl.gz") for name in ("injection", "toxicity")}
    told = build(rows, chosen.encoder, chosen.out, lambda line: print(line, flush=True))  # noqa: T201
    if chosen.keep is not None:
        np.save(chosen.keep, told)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bartizan.guardrails.training.second_build", description=__doc__
    )
    parser.add_argument("data", type=Path, help="the folder with injection.jsonl.gz and others")
    parser.add_argument("encoder", type=Path, help="the folder with model.safetensors")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="where the model goes")
    parser.add_argument("--keep", type=Path, help="where what was said of sources left out goes")
    return parser


def _layers_file(number: int) -> str:
    return f"layers_{number}.onnx"


def _write_about(folder: Path, layers: int, heads: Mapping[str, Any]) -> None:
    names = [_layers_file(number) for number in range(1, layers + 1)]
    about = json.dumps({"layers": names, "heads": heads}, indent=1)
    (folder / ABOUT).write_text(f"{about}\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
