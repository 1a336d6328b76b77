"""Runs the inline chain over a batch: every text of every span, before anything is written.

A text is whatever a sender can put words into: messages, names, dimensions, attributes and their
keys, events, error texts. A number that is long enough to be a card or a telephone is one too.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from bartizan.plugins.contract import Role, Text, ToolUse
from bartizan.plugins.decision import Decision
from bartizan.plugins.judgement import Context, Judgement
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.rewrite import KEY, Path, describe, rewrite
from bartizan.server.ingest.span import ROLE_NAMES, Dims, Json, Message, SpanRecord
from bartizan.v1 import common_pb2

MAX_CLEAN = 50_000
"""How many short texts are remembered as clean: some megabytes."""
SHORT = 256
LONG_NUMBER = 1_000_000
"""A number from here on is looked at as text: shorter ones identify nobody."""

_ROLES = {number: Role(name) for number, name in ROLE_NAMES.items() if number}
_DIM_PATHS: list[Path] = [("dims", name) for name in Dims._fields[:8]]
_RARE = ("status_message", "price_table", "cost_currency")
_INPUT = [("input", index, "content") for index in range(1024)]
_OUTPUT = [("output", index, "content") for index in range(1024)]
_TOOL_ROLES = frozenset((common_pb2.ROLE_TOOL_CALL, common_pb2.ROLE_TOOL_RESULT))
_new = tuple.__new__

Place = tuple[int, Path]
"""The position of a record in its batch, and the path of a text in the record."""


class Rules(Protocol):
    """What judges: the inline chain, under whatever rules are in force."""

    @property
    def generation(self) -> int:
        """Changes whenever the rules do."""
        ...

    @property
    def looks_at_context(self) -> bool:
        """Tells whether what is clean for one agent may not be for another."""
        ...

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        """Returns what the rules say about the texts."""
        ...


class Judge:
    """Applies the rules to batches. Remembers short texts that are clean, as most repeat."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._generation = rules.generation
        self._clean: set[str] = {""}
        # By identity: the object is kept, so that its number stays its own.
        self._clean_dims: dict[int, Dims] = {}

    async def judge(self, batch: Batch) -> None:
        """Puts the decisions into the batch, and redacted texts in the place of the others."""
        generation = self._rules.generation
        contextual = self._rules.looks_at_context
        if contextual or generation != self._generation:
            self._forget(generation)
        texts, places = self._collect(batch.records)
        if not texts:
            return
        contexts = _contexts(batch.records, places) if contextual else None
        judgement = await self._rules.judge(texts, contexts)
        if not contextual and judgement.complete and self._generation == self._rules.generation:
            self._remember(batch.records, texts, judgement)
        if judgement.decisions or judgement.replacements:
            _apply(batch, places, judgement)

    def _forget(self, generation: int) -> None:
        self._generation = generation
        self._clean = {""}
        self._clean_dims.clear()

    def _collect(self, records: Sequence[SpanRecord]) -> tuple[list[Text], list[Place]]:
        texts: list[Text] = []
        places: list[Place] = []
        for position, record in enumerate(records):
            group = position + 1
            for messages, paths in ((record.input, _INPUT), (record.output, _OUTPUT)):
                for message, path in zip(messages, paths, strict=False):
                    role, content, name, call_id, mime_type, _ = message
                    if content:
                        use = _use(record, message) if role in _TOOL_ROLES else None
                        texts.append(_new(Text, (_ROLES[role], content, use, group)))
                        places.append((position, path))
                    if name or call_id or mime_type:
                        self._add(texts, places, position, self._labels(message, path))
            found = self._metadata(record)
            if found:
                self._add(texts, places, position, found)
        return texts, places

    def _add(
        self,
        texts: list[Text],
        places: list[Place],
        position: int,
        found: Iterator[tuple[Path, str]] | Sequence[tuple[Path, str]],
    ) -> None:
        for path, value in found:
            texts.append(Text(Role.METADATA, value))
            places.append((position, path))

    def _labels(self, message: Message, path: Path) -> Iterator[tuple[Path, str]]:
        for field in ("name", "tool_call_id", "mime_type"):
            value = getattr(message, field)
            if value and value not in self._clean:
                yield (*path[:2], field), value

    def _metadata(self, record: SpanRecord) -> Sequence[tuple[Path, str]]:
        """Returns the texts beside the messages that are not remembered as clean."""
        clean = self._clean
        found: list[tuple[Path, str]] = []
        dims = record.dims
        if id(dims) not in self._clean_dims:
            found.extend(
                (path, value)
                for path, value in zip(_DIM_PATHS, dims[:8], strict=True)
                if value not in clean
            )
        if record.name not in clean:
            found.append((("name",), record.name))
        if record.user_id not in clean:
            found.append((("user_id",), record.user_id))
        if record.session_id not in clean:
            found.append((("session_id",), record.session_id))
        if record.status_message or record.price_table or record.cost_currency:
            found.extend(((name,), getattr(record, name)) for name in _RARE)
        for index, tag in enumerate(record.tags):
            if tag not in clean:
                found.append((("tags", index), tag))
        if record.attributes:
            found.extend(self._walk(record.attributes, ("attributes",)))
        for index, event in enumerate(record.events):
            found.append((("events", index, "name"), event.name))
            found.extend(self._walk(event.attributes, ("events", index, "attributes")))
        for index, link in enumerate(record.links):
            found.extend(self._walk(link.attributes, ("links", index, "attributes")))
        return [(path, value) for path, value in found if value]

    def _walk(self, value: Json, path: Path) -> Iterator[tuple[Path, str]]:
        """Yields every text in a JSON value, keys included."""
        if isinstance(value, str):
            if value and value not in self._clean:
                yield path, value
        elif isinstance(value, dict):
            for key, item in value.items():
                if key not in self._clean:
                    yield (*path, key, KEY), key
                yield from self._walk(item, (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._walk(item, (*path, index))
        elif isinstance(value, int | float) and abs(value) >= LONG_NUMBER:
            yield path, str(value)

    def _remember(
        self, records: Sequence[SpanRecord], texts: Sequence[Text], judgement: Judgement
    ) -> None:
        if len(self._clean) > MAX_CLEAN or len(self._clean_dims) > MAX_CLEAN:
            self._forget(self._generation)
        said = judgement.decisions
        clean = self._clean
        for index, text in enumerate(texts):
            if text.role is Role.METADATA and len(text.value) <= SHORT and index not in said:
                clean.add(text.value)
        for number, dims in {id(record.dims): record.dims for record in records}.items():
            if number not in self._clean_dims and clean.issuperset(dims[:8]):
                self._clean_dims[number] = dims


def _use(record: SpanRecord, message: Message) -> ToolUse:
    tool = message.name or record.dims.tool_name
    return ToolUse(tool, message.tool_call_id, record.trace_id.hex())


def _contexts(records: Sequence[SpanRecord], places: Sequence[Place]) -> list[Context]:
    known: dict[Dims, Context] = {}
    contexts = []
    for position, _ in places:
        dims = records[position].dims
        context = known.get(dims)
        if context is None:
            context = known[dims] = Context(dims.agent, dims.environment, dims.model)
        contexts.append(context)
    return contexts


def _apply(batch: Batch, places: Sequence[Place], judgement: Judgement) -> None:
    renamed = {
        str(path[-2]): judgement.replacements[index]
        for index, (_, path) in enumerate(places)
        if path[-1] == KEY and index in judgement.replacements
    }
    for index, said in judgement.decisions.items():
        position, path = places[index]
        field = describe(path, renamed)
        batch.decisions.setdefault(position, []).extend(
            Decision(
                field,
                ruled.finding,
                ruled.rule,
                ruled.rule_version,
                ruled.verdict,
                ruled.action,
                ruled.shadow,
            )
            for ruled in said
        )
    changes: dict[int, list[tuple[Path, str]]] = {}
    for index, text in judgement.replacements.items():
        position, path = places[index]
        changes.setdefault(position, []).append((path, text))
    for position, changed in changes.items():
        batch.records[position] = rewrite(batch.records[position], changed)
