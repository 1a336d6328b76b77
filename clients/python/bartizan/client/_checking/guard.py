"""`@bz.guard`: what goes into a function and what comes out of it, checked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bartizan.client._checking.checked import Checked, denied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bartizan.client._checking.checker import Checker

_IMPLICIT = ("self", "cls")
_BOTH = ("agent", "environment", "model", "rules")
"""Options that hold for a stream as well; it has neither a budget nor another way out."""


@dataclass(frozen=True)
class Guard:
    """How a function is guarded; the attributes are the arguments of `Checker.guard`."""

    checker: Checker
    input: str | None
    output: bool
    options: Mapping[str, Any]

    def apply(self, function: Any) -> Any:
        """Returns the guarded function."""
        if inspect.isasyncgenfunction(function):
            raise TypeError("An asynchronous generator cannot be guarded: check what it yields.")
        signature = inspect.signature(function)
        parameter = self._parameter(signature)
        if inspect.isgeneratorfunction(function):
            return self._generator(function, signature, parameter)
        if inspect.iscoroutinefunction(function):
            return self._coroutine(function, signature, parameter)
        return self._function(function, signature, parameter)

    def _parameter(self, signature: inspect.Signature) -> str:
        names = [name for name in signature.parameters if name not in _IMPLICIT]
        if self.input and self.input not in names:
            raise TypeError(f"There is no parameter {self.input!r} to check.")
        return (names[0] if names else "") if self.input is None else self.input

    def _function(self, function: Any, signature: inspect.Signature, parameter: str) -> Any:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            self._check_input(bound, parameter)
            result = function(*bound.args, **bound.kwargs)
            if not self.output or not isinstance(result, str):
                return result
            return _passed(self.checker.check(result, **self._for_output()), "output")

        return guarded

    def _coroutine(self, function: Any, signature: inspect.Signature, parameter: str) -> Any:
        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            if isinstance(text := bound.arguments.get(parameter), str):
                checked = await self.checker.acheck(text, **self.options)
                bound.arguments[parameter] = _passed(checked, "input")
            result = await function(*bound.args, **bound.kwargs)
            if not self.output or not isinstance(result, str):
                return result
            return _passed(await self.checker.acheck(result, **self._for_output()), "output")

        return guarded

    def _generator(self, function: Any, signature: inspect.Signature, parameter: str) -> Any:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Iterator[Any]:
            bound = signature.bind(*args, **kwargs)
            self._check_input(bound, parameter)
            chunks = function(*bound.args, **bound.kwargs)
            if not self.output:
                yield from chunks
                return
            shared = {key: value for key, value in self.options.items() if key in _BOTH}
            yield from self.checker.check_stream(chunks, **shared)

        return guarded

    def _check_input(self, bound: inspect.BoundArguments, parameter: str) -> None:
        if isinstance(text := bound.arguments.get(parameter), str):
            bound.arguments[parameter] = _passed(self.checker.check(text, **self.options), "input")

    def _for_output(self) -> dict[str, Any]:
        return {**self.options, "role": "assistant"}


def _passed(checked: Checked, side: str) -> str:
    if not checked.allowed:
        raise denied(side, [one for text in checked.findings for one in text])
    return checked.text
