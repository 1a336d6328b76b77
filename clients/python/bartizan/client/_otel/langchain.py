"""Calls of models that LangChain records itself, so that they are not recorded twice.

LangChain calls openai, anthropic and others, whose instrumentations would count the tokens again.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

if TYPE_CHECKING:
    from uuid import UUID


class _Call:
    """One call of a model by LangChain: open until its provider's library answers, or it ends."""

    open = True

    def __init__(self, around: _Call | None) -> None:
        self.around = around if around is not None and around.open else None


class ModelCalls(BaseCallbackHandler):
    """Notes the calls of models that LangChain makes, once `register` was called."""

    run_inline = True
    """In the caller's own context, which is what has to be noted."""

    def __init__(self) -> None:
        self._calls: WeakValueDictionary[UUID, _Call] = WeakValueDictionary()
        self._current: ContextVar[_Call | None] = ContextVar("bartizan_model_call", default=None)
        self._handler: ContextVar[ModelCalls] = ContextVar("bartizan_model_calls", default=self)

    def register(self) -> None:
        """Makes LangChain tell this object of its calls, for good."""
        register_configure_hook(self._handler, inheritable=True)  # type: ignore[arg-type]

    def take(self) -> bool:
        """Returns whether LangChain waits here for a provider's answer; only once for each call."""
        call = self._current.get()
        while call is not None:
            if call.open:
                call.open = False
                return True
            call = call.around
        return False

    def on_chat_model_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Notes a call of a chat model."""
        self._begin(run_id)

    def on_llm_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Notes a call of a completion model."""
        self._begin(run_id)

    def on_llm_end(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Notes the end of a call."""
        self._end(run_id)

    def on_llm_error(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """Notes the failure of a call."""
        self._end(run_id)

    def _begin(self, run_id: UUID) -> None:
        call = self._calls[run_id] = _Call(self._current.get())
        self._current.set(call)

    def _end(self, run_id: UUID) -> None:
        call = self._calls.pop(run_id, None)
        if call is not None:
            call.open = False
