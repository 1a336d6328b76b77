"""Fetches a model from the Hugging Face hub. Only ever on a person's command."""

import yaml

from bartizan.guardrails.engine.model_files import ModelFiles, ModelSource, digest_of
from bartizan.plugins.errors import Unavailable

SMALL_FILES = (
    *("config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spm.model", "sentencepiece.bpe.model"),
)
"""What models have beside their weights. Nothing that could be run."""


def fetch(source: ModelSource) -> str:
    """Puts the files of a model in the hub's cache, and returns what a rule says of them.

    Raises BartizanError if the hub cannot be reached or lacks a file, ImportError without the
    package `huggingface_hub`.
    """
    from huggingface_hub import snapshot_download

    named = [str(source.weights), source.tokenizer]
    try:
        snapshot_download(
            str(source.hub), revision=source.revision, allow_patterns=[*named, *SMALL_FILES]
        )
    except Exception as error:
        told = f"{source.named} cannot be fetched: {type(error).__name__}"
        raise Unavailable("CANNOT_FETCH", told) from None
    return _said(source, ModelFiles(source))


def _said(source: ModelSource, files: ModelFiles) -> str:
    there = (name for name in SMALL_FILES if (files.folder / name).exists())
    digests = {name: digest_of(files.path(name)) for name in (str(source.weights), *there)}
    if (files.folder / source.tokenizer).exists():
        digests[source.tokenizer] = digest_of(files.path(source.tokenizer))
    document = source.model_dump(exclude_defaults=True)
    return yaml.safe_dump({"model": {**document, "sha256": digests}}, sort_keys=False)
