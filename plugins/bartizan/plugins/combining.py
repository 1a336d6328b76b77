"""Combinations: a rule that looks at what other rules found in the same text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding

MAX_DEPTH = 8
MAX_LEAVES = 64

FoundBy = Mapping[str, Sequence[Finding] | None]
"""By the id of a rule, what it found in the text; None if it could not say."""


class Condition(PluginConfig):
    """What must be found: by one rule, by all of some, by any of some, or not at all.

    The id of a rule alone stands for `{rule: ID}`. Exactly one of `rule`, `all`, `any` and `not`.
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    rule: str = Field("", max_length=63, description="The rule that must have found something.")
    category: str = Field(
        "",
        max_length=127,
        description="Only findings of this category; `pii` means all of `pii.…`.",
    )
    score: float = Field(0.0, ge=0, le=1, description="Only findings with at least this score.")
    all_: tuple["Condition", ...] = Field((), alias="all", description="All of these hold.")
    any_: tuple["Condition", ...] = Field((), alias="any", description="One of these holds.")
    not_: "Condition | None" = Field(None, alias="not", description="This does not hold.")

    @model_validator(mode="before")
    @classmethod
    def _id_alone(cls, document: Any) -> Any:
        return {"rule": document} if isinstance(document, str) else document

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [bool(self.rule), bool(self.all_), bool(self.any_), self.not_ is not None].count(
            True
        ) != 1:
            raise ValueError("a condition has exactly one of rule, all, any and not")
        if not self.rule and (self.category or self.score):
            raise ValueError("category and score go with rule")
        if self.depth > MAX_DEPTH or sum(1 for _ in self.rules()) > MAX_LEAVES:
            raise ValueError(f"a condition has {MAX_DEPTH} levels and {MAX_LEAVES} rules at most")
        return self

    @property
    def depth(self) -> int:
        """The number of levels."""
        return 1 + max((part.depth for part in self._parts()), default=0)

    def rules(self) -> Iterator[str]:
        """Yields the ids of the rules that it names."""
        if self.rule:
            yield self.rule
        for part in self._parts():
            yield from part.rules()

    def finds(self) -> bool:
        """Returns False if it can only hold by what is not there: then it finds nothing."""
        if self.not_ is not None:
            return False
        return bool(self.rule) or any(part.finds() for part in self._parts())

    def holds(self, found_by: FoundBy) -> tuple[bool | None, list[Finding]]:
        """Returns whether it holds, and the findings that make it so.

        What holds because something is not there has none. None says that the answer depends on a
        rule that could not say.
        """
        if self.rule:
            return self._found(found_by.get(self.rule, ()))
        if self.not_ is not None:
            held, _ = self.not_.holds(found_by)
            return (None if held is None else not held), []
        told = [part.holds(found_by) for part in self._parts()]
        held = _quantified([held for held, _ in told], decisive=not self.all_)
        if not held:
            return held, []
        found = (one for part_holds, part in told if part_holds for one in part)
        return True, list(dict.fromkeys(found))

    def _found(self, findings: Sequence[Finding] | None) -> tuple[bool | None, list[Finding]]:
        if findings is None:
            return None, []
        found = [one for one in findings if self._counts(one)]
        return bool(found), found

    def _counts(self, found: Finding) -> bool:
        prefix = self.category
        named = not prefix or found.category == prefix or found.category.startswith(f"{prefix}.")
        return named and found.score >= self.score

    def _parts(self) -> tuple["Condition", ...]:
        return (*self.all_, *self.any_, *((self.not_,) if self.not_ is not None else ()))


def _quantified(parts: Sequence[bool | None], *, decisive: bool) -> bool | None:
    """Returns what all (one False decides) or any (one True decides) of the parts come to."""
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive
