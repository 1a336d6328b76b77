"""Takes over what the rules say of the texts of a batch."""

from collections.abc import Sequence

from bartizan.plugins.decision import Decision
from bartizan.plugins.judgement import Judgement
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.rewrite import KEY, Path, describe, rewrite
from bartizan.server.ingest.texts import Place

MAX_FIELD = 512
"""Characters. A path holds the keys of JSON, which may be as long as a text, and each finding
repeats it."""


def take_over(batch: Batch, places: Sequence[Place], judgement: Judgement) -> None:
    """Puts the decisions into the batch, and redacted texts in the place of the others."""
    renamed = {
        str(path[-2]): judgement.replacements[index]
        for index, (_, path) in enumerate(places)
        if path[-1] == KEY and index in judgement.replacements
    }
    for index, said in judgement.decisions.items():
        position, path = places[index]
        field = describe(path, renamed)
        if len(field) > MAX_FIELD:
            field = field[: MAX_FIELD - 1] + "…"
        batch.decisions.setdefault(position, []).extend(
            Decision(
                field,
                ruled.finding,
                ruled.rule,
                ruled.rule_version,
                ruled.verdict,
                ruled.action,
                ruled.shadow,
                ruled.severity,
            )
            for ruled in said
        )
    changes: dict[int, list[tuple[Path, str]]] = {}
    for index, text in judgement.replacements.items():
        position, path = places[index]
        changes.setdefault(position, []).append((path, text))
    for position, changed in changes.items():
        batch.records[position] = rewrite(batch.records[position], changed)
