"""Chooses which tokens of the pretrained encoder are kept, and stores them in one byte a number.

Needs `tokenizers` and `safetensors`; a word that is no longer there is read in smaller parts.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_TOKENS = 12_500
"""Then the table has less than 5 MB."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PREFIX = "##"
LARGEST = 127


def kept_tokens(tokenizer: Path, texts: Iterable[str]) -> list[str]:
    """Returns the tokens to keep: the letters that words are made of, then the most frequent."""
    from tokenizers import Tokenizer

    full = Tokenizer.from_file(str(tokenizer))
    full.no_truncation()
    full.no_padding()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(full.encode(text, add_special_tokens=False).tokens)
    known = full.get_vocab()
    letters = {token for token in known if len(token.removeprefix(PREFIX)) == 1}
    common = {token for token in letters if counts[token] or token.isascii()}
    often = [token for token, _ in counts.most_common() if token not in common]
    found = [token for token in often if token not in SPECIAL]
    return [*SPECIAL, *sorted(common), *found[: MOST_TOKENS - len(common) - len(SPECIAL)]]


def cut_tokenizer(tokenizer: Path, tokens: list[str]) -> str:
    """Returns a tokenizer, as JSON, that knows these tokens alone, numbered in their order."""
    stored = json.loads(tokenizer.read_text(encoding="utf-8"))
    stored["model"]["vocab"] = {token: number for number, token in enumerate(tokens)}
    stored["added_tokens"] = [
        {**added, "id": tokens.index(added["content"])}
        for added in stored["added_tokens"]
        if added["content"] in tokens
    ]
    stored["truncation"] = stored["padding"] = stored["post_processor"] = None
    return json.dumps(stored, ensure_ascii=True, separators=(",", ":"))


def cut_table(tokenizer: Path, words: npt.NDArray[np.float32], tokens: list[str]) -> Any:
    """Returns the rows of the tokens as whole numbers of one byte, and the unit of each row."""
    vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    rows = words[[vocabulary[token] for token in tokens]]
    units = (np.abs(rows).max(axis=1) / LARGEST).astype(np.float32)
    return np.rint(rows / units[:, None]).astype(np.int8), units
