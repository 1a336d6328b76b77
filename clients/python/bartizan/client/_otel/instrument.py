"""Instruments libraries of models and agents, by instrumentations that others maintain."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from bartizan.client._calls.errors import FailedPrecondition, InvalidArgument
from bartizan.client._otel import threads

if TYPE_CHECKING:
    from bartizan.client._otel.langchain import ModelCalls
    from bartizan.client._otel.provider import Provider
    from bartizan.client._recording.recorder import Recorder

log = logging.getLogger("bartizan.client")

INSTALL = 'pip install "bartizan-client[instrument]"'
Undo = Callable[[], object]


class Library(NamedTuple):
    """A library that can be instrumented.

    Attributes:
        module: the name it is imported by.
        instrumentors: what instruments it, `module:Class`, best first: OpenInference's, which
            records most, then those of OpenTelemetry.
    """

    module: str
    instrumentors: tuple[str, ...]


LIBRARIES: Mapping[str, Library] = {
    "openai": Library(
        "openai",
        (
            "openinference.instrumentation.openai:OpenAIInstrumentor",
            "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
        ),
    ),
    "anthropic": Library(
        "anthropic",
        (
            "openinference.instrumentation.anthropic:AnthropicInstrumentor",
            "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
        ),
    ),
    "google-genai": Library(
        "google.genai",
        (
            "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",
            "opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",
        ),
    ),
    "langchain": Library(
        "langchain_core",
        (
            "openinference.instrumentation.langchain:LangChainInstrumentor",
            "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
        ),
    ),
}
THREADING = "threading"
NAMES = (*LIBRARIES, THREADING)
_OTHER_NAMES = {"google_genai": "google-genai", "langgraph": "langchain"}


class Instrumentation:
    """What of this process is instrumented. There is one, because libraries are patched whole."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._on: dict[str, Undo] = {}
        self._provider: Provider | None = None
        self._model_calls: ModelCalls | None = None

    def switch_on(self, names: Sequence[str], recorder: Recorder) -> tuple[str, ...]:
        """Instruments libraries for a client, and returns the names of all that are now on.

        What is on for another client goes over to this one.

        Args:
            names: of NAMES; none means all that are installed together with an instrumentation.
            recorder: takes the spans.

        Raises:
            InvalidArgument: there is no such name.
            ImportError: a named library, or its instrumentation, is not installed.
            FailedPrecondition: the application has instrumented a named library itself.
        """
        wanted = [_known(name) for name in names]
        with self._lock:
            if self._provider is not None:
                self._provider.recorder = recorder
            for name in wanted or NAMES:
                if name not in self._on:
                    self._switch_on(name, recorder, is_wanted=bool(wanted))
            return tuple(name for name in NAMES if name in self._on)

    def switch_off(self, recorder: Recorder) -> None:
        """Takes all patches off again, if they are this client's."""
        with self._lock:
            if self._provider is not None and self._provider.recorder is not recorder:
                return
            for name, undo in self._on.items():
                try:
                    undo()
                except Exception as error:
                    log.debug("uninstrumenting %s failed with %s", name, type(error).__name__)
            self._on.clear()

    def _switch_on(self, name: str, recorder: Recorder, is_wanted: bool) -> None:
        if not is_wanted and not _is_installed(name):
            return
        try:
            self._on[name] = threads.patch() if name == THREADING else self._patch(name, recorder)
        except Exception as error:
            if is_wanted:
                raise
            # A library that changed may fail in any way, and its texts are not ours to log.
            ours = isinstance(error, (ImportError, FailedPrecondition))
            reason = str(error) if ours else type(error).__name__
            log.warning("%s is not instrumented: %s", name, reason)

    def _patch(self, name: str, recorder: Recorder) -> Undo:
        instrumentor = _instrumentor(name)
        if instrumentor.is_instrumented_by_opentelemetry:
            raise FailedPrecondition(
                f"The application instruments {name} itself: give the tracer provider it uses "
                "the exporter that Bartizan.span_exporter() returns."
            )
        provider = self._ready_provider(recorder)
        instrumentor.instrument(tracer_provider=provider, raise_exception_on_conflict=True)
        undo: Undo = instrumentor.uninstrument
        is_watched = name == "langchain" and type(instrumentor).__module__.startswith("openinf")
        return self._watch_langchain(provider, undo) if is_watched else undo

    def _ready_provider(self, recorder: Recorder) -> Provider:
        from bartizan.client._otel import bridge
        from bartizan.client._otel.provider import Provider

        bridge.install()
        if self._provider is None:
            self._provider = Provider(recorder)
        return self._provider

    def _watch_langchain(self, provider: Provider, uninstrument: Undo) -> Undo:
        from openinference.instrumentation.langchain import get_current_span

        from bartizan.client._otel import bridge
        from bartizan.client._otel.langchain import ModelCalls

        if self._model_calls is None:
            self._model_calls = ModelCalls()
            self._model_calls.register()
        provider.model_calls = self._model_calls
        bridge.langchain_run = get_current_span

        def undo() -> None:
            provider.model_calls = None
            bridge.langchain_run = None
            uninstrument()

        return undo


process = Instrumentation()


def _known(name: str) -> str:
    name = _OTHER_NAMES.get(name, name)
    if name not in NAMES:
        raise InvalidArgument(
            f"There is nothing named {name!r} to instrument; there is {', '.join(NAMES)}.",
            field="names",
        )
    return name


def _is_installed(name: str) -> bool:
    if name == THREADING:
        return True
    try:
        return importlib.util.find_spec(LIBRARIES[name].module) is not None
    except (ImportError, ValueError):
        return False


def _instrumentor(name: str) -> Any:
    if not _is_installed(name):
        raise ImportError(f"{name} is not installed: there is no {LIBRARIES[name].module}.")
    for path in LIBRARIES[name].instrumentors:
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)()
        except ImportError:
            continue
    raise ImportError(f"No instrumentation of {name} is installed: {INSTALL}.")
