"""What a block of code says about the spans inside it: their session, or their parent elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bartizan.client._recording import context

if TYPE_CHECKING:
    from contextvars import Token


class Session:
    """A block whose spans belong to one session; see `Bartizan.session`.

    Attributes:
        id: names the session.
    """

    def __init__(self, id: str, scope: context.Scope) -> None:
        self.id = id
        self._scope = scope
        self._token: Token[Any] | None = None

    def __enter__(self) -> Session:
        around = context.current.get()
        outer = around.shared if around is not None else _scope_fields()
        self._token = context.scope.set(
            self._scope._replace(shared={**outer, **self._scope.shared})
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            context.restore(context.scope, self._token)
            self._token = None


def _scope_fields() -> Mapping[str, str]:
    outer = context.scope.get()
    return outer.shared if outer is not None else {}


class Continued:
    """A block whose spans continue another process's trace; see `Bartizan.continue_trace`."""

    def __init__(self, parent: context.Remote | None) -> None:
        self._parent = parent
        self._token: Token[Any] | None = None

    def __enter__(self) -> None:
        if self._parent is not None:
            self._token = context.current.set(self._parent)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            context.restore(context.current, self._token)
            self._token = None
