"""Finds every text of a span, before anything is written.

A text is whatever a sender can put words into: messages, names, dimensions, attributes and their
keys, events, error texts. A number that is long enough to be a card or a telephone is one too.
"""

from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from secrets import token_bytes

from bartizan.plugins.contract import Role, Text, ToolUse
from bartizan.server.ingest.rewrite import KEY, Path
from bartizan.server.ingest.span import ROLE_NAMES, Dims, Json, Message, SpanRecord
from bartizan.v1 import common_pb2

MAX_CLEAN = 50_000
"""How many short texts are remembered as clean: some megabytes."""
MAX_MESSAGES = 100_000
"""How many messages are remembered as clean: some ten megabytes."""
SHORT = 256
LONG_NUMBER = 1_000_000
"""A number from here on is looked at as text: shorter ones identify nobody."""

_ROLES = {number: Role(name) for number, name in ROLE_NAMES.items() if number}
_DIM_PATHS: list[Path] = [("dims", name) for name in Dims._fields[:8]]
_RARE = ("status_message", "price_table", "cost_currency")
_INPUT = [("input", index, "content") for index in range(1024)]
_OUTPUT = [("output", index, "content") for index in range(1024)]
_TOOL_ROLES = frozenset((common_pb2.ROLE_TOOL_CALL, common_pb2.ROLE_TOOL_RESULT))
_KEY = token_bytes(32)
_new = tuple.__new__

Place = tuple[int, Path]
"""The position of a record in its batch, and the path of a text in the record."""


class Texts:
    """Finds texts. Remembers what was clean, as most repeats, and leaves that out.

    Short texts beside the messages are remembered as they are; of messages, which a conversation
    sends again with each of its turns, a digest is.
    """

    def __init__(self, *, remember_messages: bool = False) -> None:
        """Makes one that knows nothing. Messages are not to be remembered if others matter."""
        self._remember_messages = remember_messages
        self._clean: set[str] = {""}
        self._clean_messages: dict[bytes, None] = {}
        # By identity: the object is kept, so that its number stays its own.
        self._clean_dims: dict[int, Dims] = {}

    def of(self, records: Sequence[SpanRecord]) -> tuple[list[Text], list[Place]]:
        """Returns every text of some spans that may not be clean, and where it stands."""
        texts: list[Text] = []
        places: list[Place] = []
        known = self._clean_messages
        for position, record in enumerate(records):
            group = position + 1
            for messages, paths in ((record.input, _INPUT), (record.output, _OUTPUT)):
                for message, path in zip(messages, paths, strict=False):
                    role, content, name, call_id, mime_type, _ = message
                    if content:
                        use = _use(record, message) if role in _TOOL_ROLES else None
                        text = _new(Text, (_ROLES[role], content, use, group))
                        if not known or _digest(text) not in known:
                            texts.append(text)
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

    def remember(
        self, records: Sequence[SpanRecord], texts: Sequence[Text], dirty: Collection[int]
    ) -> None:
        """Remembers the texts of some spans as clean, but for those at the indexes `dirty`."""
        if len(self._clean) > MAX_CLEAN or len(self._clean_dims) > MAX_CLEAN:
            self._clean = {""}
            self._clean_dims.clear()
        clean = self._clean
        for index, text in enumerate(texts):
            if index in dirty:
                continue
            if text.role is not Role.METADATA:
                self._remember_message(text)
            elif len(text.value) <= SHORT:
                clean.add(text.value)
        for number, dims in {id(record.dims): record.dims for record in records}.items():
            if number not in self._clean_dims and clean.issuperset(dims[:8]):
                self._clean_dims[number] = dims

    def _remember_message(self, text: Text) -> None:
        # Calls without an id may be as many as they look: each one counts.
        if not self._remember_messages or (text.use is not None and not text.use.call):
            return
        known = self._clean_messages
        known[_digest(text)] = None
        if len(known) > MAX_MESSAGES:
            for oldest in list(islice(known, MAX_MESSAGES // 10)):
                del known[oldest]


def _digest(text: Text) -> bytes:
    """Returns what tells a message from all others: 128 bits that nobody can aim at."""
    use = "\0".join(text.use) if text.use is not None else ""
    said = f"{text.role}\0{use}\0{text.value}".encode("utf-8", "surrogatepass")
    return blake2b(said, digest_size=16, key=_KEY).digest()


def _use(record: SpanRecord, message: Message) -> ToolUse:
    tool = message.name or record.dims.tool_name
    return ToolUse(tool, message.tool_call_id, record.trace_id.hex())
