"""The messages of a span are one group, and those of no other span."""

import asyncio
import random
from collections.abc import Sequence

from tests.support.spans import make_span

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.judgement import NOTHING_SAID, Context, Judgement
from bartizan.plugins.rules import Rule
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.native import NativeConverter

NOW_NS = 1_790_000_000_000_000_000


class Watching:
    """Allows everything, and remembers what it was shown."""

    looks_at_context = looks_at_groups = False
    deferred: Sequence[Rule] = ()

    def __init__(self) -> None:
        self.shown: list[Text] = []

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        self.shown = list(texts)
        return NOTHING_SAID


def test_each_span_is_a_group() -> None:
    converter, rng, rules = NativeConverter(), random.Random(1), Watching()
    records = [converter.record(make_span(rng, start_ns=NOW_NS), NOW_NS) for _ in range(2)]
    asyncio.run(Judge(lambda project_id: rules).judge(Batch(1, records, range(2))))
    said = [(text.role, text.group) for text in rules.shown if text.role is not Role.METADATA]
    assert said == [(Role.USER, 1), (Role.ASSISTANT, 1), (Role.USER, 2), (Role.ASSISTANT, 2)]
    assert {text.group for text in rules.shown if text.role is Role.METADATA} == {0}
