"""Runs one guardrail over lines of JSON, with no server; or fetches a model for one.

    python -m bartizan.guardrails score pii < in.jsonl > out.jsonl
    python -m bartizan.guardrails fetch OWNER/NAME --revision COMMIT --weights onnx/model.onnx

In: `{"text": "…", "role": "user"}`, role optional. Out, one line for each in the same order:
`{"score": 1.0, "findings": [{"category": "pii.email_address", "score": 1.0, "start": 0, …}]}`.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, TextIO

from bartizan.guardrails.engine.model_fetch import fetch
from bartizan.guardrails.engine.model_files import ModelSource
from bartizan.plugins.config import missing_package, nearest, parse_config
from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.errors import BartizanError
from bartizan.plugins.registry import guardrails

BATCH_LINES = 256
BAD_USAGE = 2


class BadLine(Exception):
    """Raised when a line of the input is wrong. Says which and why, and quotes nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code: 2 for bad usage or a bad line."""
    given = _parser().parse_args(arguments)
    try:
        given.run(given)
    except (BadLine, BartizanError) as error:
        return _complain(str(error))
    except ImportError as error:
        return _complain(str(missing_package(f"'{given.name}'", error)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bartizan.guardrails")
    commands = parser.add_subparsers(dest="command", required=True)
    score = commands.add_parser("score", help="score lines of JSON from standard input")
    score.add_argument("name", help="the guardrail: pii")
    score.add_argument("--config", default="{}", help="the guardrail's configuration, as JSON")
    score.set_defaults(run=_run_score)
    fetch = commands.add_parser("fetch", help="fetch a model from the Hugging Face hub")
    fetch.add_argument("name", help="the model: owner/name")
    fetch.add_argument("--revision", required=True, help="the commit, 40 hexadecimal digits")
    fetch.add_argument("--weights", default="model.onnx", help="the file with the weights")
    fetch.add_argument("--tokenizer", default="tokenizer.json", help="the file with the tokenizer")
    fetch.set_defaults(run=_run_fetch)
    return parser


def _run_score(given: argparse.Namespace) -> None:
    guardrail = guardrails().create(given.name, _config(given.config))
    asyncio.run(_score(guardrail, sys.stdin.buffer, sys.stdout))


def _run_fetch(given: argparse.Namespace) -> None:
    wanted = {
        "hub": given.name,
        "revision": given.revision,
        "weights": given.weights,
        "tokenizer": given.tokenizer,
        "sha256": {},
    }
    sys.stdout.write(fetch(parse_config(ModelSource, wanted, "fetch")))


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return BAD_USAGE


def _config(text: str) -> dict[str, object]:
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise BadLine("--config must be a JSON object")
    return config


async def _score(guardrail: Guardrail, lines: BinaryIO, out: TextIO) -> None:
    try:
        if (start := getattr(guardrail, "start", None)) is not None:
            await start()
        for texts in _batches(_texts(lines)):
            for findings in await guardrail.check(texts):
                out.write(f"{json.dumps(_answer(findings))}\n")
    finally:
        await guardrail.aclose()
        out.flush()


def _batches(texts: Iterator[Text]) -> Iterator[list[Text]]:
    while batch := list(islice(texts, BATCH_LINES)):
        yield batch


def _texts(lines: Iterable[bytes]) -> Iterator[Text]:
    for number, line in enumerate(lines, 1):
        try:
            yield _text(line)
        except BadLine as error:
            raise BadLine(f"line {number}: {error}") from None


def _text(line: bytes) -> Text:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("this is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("text"), str):
        raise BadLine("this must be an object with a string 'text'")
    return Text(_role(document.get("role", Role.USER)), document["text"])


def _role(given: Any) -> Role:
    try:
        return Role(given)
    except ValueError:
        hint = nearest(str(given), Role)
        raise BadLine(f"'role' must be one of {', '.join(Role)}{hint}") from None


def _answer(findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "score": max((found.score for found in findings), default=0.0),
        "findings": [
            {
                "category": found.category,
                "score": found.score,
                "start": found.start,
                "end": found.end,
            }
            for found in findings
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
