"""`@bz.trace`: one span for each call of a function, generator or method."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from bartizan.client._recording.steps import AsyncSteps, Steps

if TYPE_CHECKING:
    from bartizan.client._recording.span import Span

_METHODS = (FunctionType, staticmethod, classmethod)


@dataclass(frozen=True)
class Tracing:
    """How calls become spans.

    Attributes:
        start: makes a span of this name, kind and fields.
        name: of the spans; the function's own when empty.
        kind: of the spans.
        fields: the agent, model and so on of the spans.
        capture_input: whether the arguments are kept.
        capture_output: whether the result is kept.
    """

    start: Callable[[str, str, Mapping[str, str]], Span]
    name: str
    kind: str
    fields: Mapping[str, str]
    capture_input: bool = True
    capture_output: bool = True

    def apply(self, target: Any) -> Any:
        """Returns a function that is traced, or a class with its public methods traced."""
        if isinstance(target, type):
            return self._trace_class(target)
        if isinstance(target, (staticmethod, classmethod)):
            return type(target)(self.apply(target.__func__))
        name = self.name or getattr(target, "__qualname__", type(target).__name__)
        called = replace(self, name=name.rpartition("<locals>.")[2])
        return called._wrap(target, functools.partial(called._begin, _parameters(target)))

    def _trace_class(self, owner: type) -> type:
        prefix = self.name or owner.__name__
        for name, member in list(vars(owner).items()):
            public = not name.startswith("_") or name == "__call__"
            if public and isinstance(member, _METHODS):
                setattr(owner, name, replace(self, name=f"{prefix}.{name}").apply(member))
        return owner

    def _begin(self, parameters: tuple[str, ...], args: Any, kwargs: Any) -> Span:
        span = self.start(self.name, self.kind, self.fields)
        if self.capture_input and (args or kwargs):
            span.set_input(_arguments(parameters, args, kwargs))
        return span

    def _wrap(self, function: Any, begin: Callable[[Any, Any], Span]) -> Any:
        if inspect.isasyncgenfunction(function):
            return self._async_generator(function, begin)
        if inspect.isgeneratorfunction(function):
            return self._generator(function, begin)
        if inspect.iscoroutinefunction(function):
            return self._coroutine(function, begin)
        return self._function(function, begin)

    def _function(self, function: Any, begin: Callable[[Any, Any], Span]) -> Any:
        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            span = begin(args, kwargs)
            span.enter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                span.leave()
                span.set_error(error).end()
                raise
            span.leave()
            return self._finish(span, result)

        return traced

    def _coroutine(self, function: Any, begin: Callable[[Any, Any], Span]) -> Any:
        @functools.wraps(function)
        async def traced(*args: Any, **kwargs: Any) -> Any:
            span = begin(args, kwargs)
            span.enter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                span.leave()
                span.set_error(error).end()
                raise
            span.leave()
            return self._finish(span, result)

        return traced

    def _finish(self, span: Span, result: Any) -> Any:
        """Ends the span, or leaves that to the generator that a function returned."""
        if inspect.isgenerator(result):
            return self._generator(lambda: result, lambda *_: span)()
        if inspect.isasyncgen(result):
            return self._async_generator(lambda: result, lambda *_: span)()
        if self.capture_output and result is not None:
            span.set_output(result)
        span.end()
        return result

    def _generator(self, function: Any, begin: Callable[[Any, Any], Span]) -> Any:
        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            source = function(*args, **kwargs)
            with Steps(begin(args, kwargs), source, self.capture_output) as steps:
                for item in steps:
                    try:
                        steps.send((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        steps.throw(error)
            return steps.returned

        return traced

    def _async_generator(self, function: Any, begin: Callable[[Any, Any], Span]) -> Any:
        @functools.wraps(function)
        async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            source = function(*args, **kwargs)
            async with AsyncSteps(begin(args, kwargs), source, self.capture_output) as steps:
                async for item in steps:
                    try:
                        steps.send((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        steps.throw(error)

        return traced


def _parameters(function: Any) -> tuple[str, ...]:
    """Returns the names of what can be passed by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(one.name for one in parameters if one.kind in kinds)


def _arguments(parameters: tuple[str, ...], args: Any, kwargs: Any) -> Any:
    """Returns the arguments by name; a text that is the only one, as it is."""
    named = dict(zip(parameters, args))
    if len(args) > len(parameters):
        named["args"] = list(args[len(parameters) :])
    named.update(kwargs)
    if parameters and parameters[0] in ("self", "cls"):
        named.pop(parameters[0], None)
    if len(named) == 1:
        only = next(iter(named.values()))
        if isinstance(only, str):
            return only
    return named
