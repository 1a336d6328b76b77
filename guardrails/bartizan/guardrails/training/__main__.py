"""Builds the models: `python -m bartizan.guardrails.training FOLDER_OF_DATA`."""

import argparse
import sys
from pathlib import Path

from bartizan.guardrails.training.corpus import read
from bartizan.guardrails.training.heads import HEADS, build

UNCONFIRMED = frozenset({"hackaprompt"})
"""Sources whose licence is told by others only: they measure, and no model learns from them."""
OUTPUT = Path(__file__).parent.parent / "models"


def main() -> int:
    """Writes a file per model; returns 2 if the data is not there."""
    chosen = _parser().parse_args()
    for name in chosen.names or HEADS:
        head = HEADS[name]
        path: Path = chosen.data / f"{head.data}.jsonl.gz"
        if not path.is_file():
            print(f"no file {path}", file=sys.stderr)  # noqa: T201
            return 2
        model = build(head, [row for row in read(path) if row.source not in UNCONFIRMED])
        with (chosen.out / f"{name}.npz").open("wb") as file:
            model.write(file)
        print(f"{name}: clear {model.clear:.3f}, alarm {model.alarm:.3f}", flush=True)  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bartizan.guardrails.training", description=__doc__
    )
    parser.add_argument("data", type=Path, help="the folder with injection.jsonl.gz and others")
    parser.add_argument("names", nargs="*", choices=[[], *HEADS], metavar="MODEL")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="where the models go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
