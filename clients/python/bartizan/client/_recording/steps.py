"""Generators as spans: the span is current while a step runs, and ends with the last one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from bartizan.client._recording.values import MAX_CHARS

if TYPE_CHECKING:
    from types import TracebackType

    from bartizan.client._recording.span import Span

MAX_CHUNKS = 10_000
ABANDONED = "bartizan.abandoned"
"""The attribute of a span whose generator was closed before its end; that is no error."""


class _Steps:
    """What the two kinds of generators have in common.

    Attributes:
        returned: what the generator returned at its end.
    """

    def __init__(self, span: Span, source: Any, capture: bool) -> None:
        self._span = span
        self._source = source
        self._capture = capture
        self._chunks: list[Any] = []
        self._chars = 0
        self._count = 0
        self._value: Any = None
        self._error: BaseException | None = None
        self.returned: Any = None

    def send(self, value: Any) -> None:
        """Passes a value on to the generator with the next step."""
        self._value = value

    def throw(self, error: BaseException) -> None:
        """Passes an exception on to the generator with the next step."""
        self._error = error

    def _take(self) -> tuple[Any, BaseException | None]:
        value, error = self._value, self._error
        self._value = self._error = None
        return value, error

    def _keep(self, item: Any) -> Any:
        self._span.first_token()
        self._count += 1
        if self._capture and self._chars < MAX_CHARS and len(self._chunks) < MAX_CHUNKS:
            self._chars += len(item) if isinstance(item, str) else 1
            self._chunks.append(item)
        return item

    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, GeneratorExit):
            self._span.set_attribute(ABANDONED, True)
        elif error is not None:
            self._span.set_error(error)
        if self._capture:
            self._span.set_output(self._output())
        self._span.end()

    def _output(self) -> Any:
        cut = self._count - len(self._chunks)
        note = [f"\n[… {cut:,} chunks cut …]"] if cut else []
        if self._chunks and all(isinstance(chunk, str) for chunk in self._chunks):
            return "".join(self._chunks + note)
        return self._chunks + note


class Steps(_Steps):
    """Runs a generator step by step. As a context manager it ends the span."""

    _source: Generator[Any, Any, Any]

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> Any:
        value, error = self._take()
        self._span.enter()
        try:
            item = self._source.send(value) if error is None else self._source.throw(error)
        except StopIteration as stop:
            self.returned = stop.value
            raise
        finally:
            self._span.leave()
        return self._keep(item)

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, GeneratorExit):
                self._source.close()
        finally:
            self._end(error)


class AsyncSteps(_Steps):
    """Runs an asynchronous generator step by step. As a context manager it ends the span."""

    _source: AsyncGenerator[Any, Any]

    def __aiter__(self) -> AsyncSteps:
        return self

    async def __anext__(self) -> Any:
        value, error = self._take()
        self._span.enter()
        try:
            item = await (
                self._source.asend(value) if error is None else self._source.athrow(error)
            )
        finally:
            self._span.leave()
        return self._keep(item)

    async def __aenter__(self) -> AsyncSteps:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, GeneratorExit):
                await self._source.aclose()
        finally:
            self._end(error)
