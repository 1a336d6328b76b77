"""Chooses which recognizers to run over one text. Never leaves out one that would find something.

Most conditions are tested in one go. Some cannot be: where a match may begin at many places of a
long run, the automaton of all of them together has a state for every such text.
"""

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

import re2

from bartizan.guardrails.engine.prefilter import Condition, Expression, options

Key = TypeVar("Key", bound=Hashable)


class Choice(Generic[Key]):
    """The conditions of several recognizers, each by its own."""

    def __init__(
        self,
        conditions: Mapping[Key, Condition | None],
        together_in_ascii: Collection[Key] = (),
        together_in_other: Collection[Key] = (),
    ) -> None:
        """Compiles the conditions. None stands for a recognizer that every text may interest.

        Takes which of them are tested in one go, in texts of ASCII alone and in other texts.
        """
        known = {key: needed for key, needed in conditions.items() if needed is not None}
        self._all = list(conditions)
        self._in_ascii = _Tests({key: one.ascii for key, one in known.items()}, together_in_ascii)
        self._in_other = _Tests({key: one.other for key, one in known.items()}, together_in_other)
        self._always = [key for key in conditions if key not in known]

    def of(self, value: str, encoded: bytes | None) -> list[Key]:
        """Returns whose condition a text meets, given as `encode` encoded it as well."""
        if encoded is None:
            return self._all
        tests = self._in_ascii if len(encoded) == len(value) else self._in_other
        return self._always + tests.met(encoded)


class _Tests(Generic[Key]):
    def __init__(self, conditions: Mapping[Key, str], together: Collection[Key]) -> None:
        self._each = [(key, Expression(needed)) for key, needed in conditions.items()]
        self._alone = [(key, needed) for key, needed in self._each if key not in together]
        self._together = [key for key in conditions if key in together]
        self._set = re2.Set.SearchSet(options())
        for key in self._together:
            self._set.Add(conditions[key])
        # Always met, unless the set runs out of memory: it does not say so otherwise.
        self._set.Add(r"\A")
        self._set.Compile()

    def met(self, encoded: bytes) -> list[Key]:
        met = self._set.Match(encoded)
        if not met:
            return [key for key, needed in self._each if needed.end_of_match(encoded) >= 0]
        met.sort()
        found = [self._together[place] for place in met[:-1]]
        found += [key for key, needed in self._alone if needed.end_of_match(encoded) >= 0]
        return found
