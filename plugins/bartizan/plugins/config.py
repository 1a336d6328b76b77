"""The base of every plugin's configuration, and one clear sentence for a wrong document."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from bartizan.plugins.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

MAX_REPORTED = 3
"""So that one misplaced block does not print a page."""


class PluginConfig(BaseModel):
    """The base of a plugin's configuration: frozen, unknown keys refused.

    Give each field a description, a bound and a default.

    Attributes:
        operator_keys: keys by which the server reads files, names secrets or calls hosts. Only the
            server's own rules file may set them, and no rule that comes over the network.
        secret_keys: keys whose values are secrets: stored encrypted, and never shown again.
    """

    operator_keys: ClassVar[frozenset[str]] = frozenset()
    secret_keys: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def parse_config(model: type[M], document: object, where: str) -> M:
    """Returns `document` as a `model`.

    `where` names the document in the message: `rules.yaml`. Raises ConfigError with one sentence
    that names each wrong key and the nearest right one, and never a value: it may be a secret.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise config_error(model, error, where) from None


def config_error(model: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    """Returns what a person is told about a wrong document."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    told = [_sentence(model, problem) for problem in problems[:MAX_REPORTED]]
    if len(problems) > MAX_REPORTED:
        told.append(f"and {len(problems) - MAX_REPORTED} more")
    return ConfigError("INVALID_CONFIG", f"{where}: {'; '.join(told)}", field=_path(problems[0]))


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)` for the known word nearest to `word`, or nothing."""
    by_folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean '{by_folded[found[0]]}'?)" if found else ""


def _sentence(model: type[BaseModel], problem: ErrorDetails) -> str:
    path = _path(problem)
    if problem["type"] == "extra_forbidden":
        *parents, key = problem["loc"]
        return f"'{path}' is not a known key{nearest(str(key), _keys_at(model, parents))}"
    if problem["type"] == "missing":
        return f"'{path}' is required"
    message = problem["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    return f"'{path}': {message}" if path else message


def _path(problem: ErrorDetails) -> str:
    path = ""
    for part in problem["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _keys_at(model: type[BaseModel], path: list[int | str]) -> Iterable[str]:
    here: type[BaseModel] | None = model
    for part in path:
        if here is not None and isinstance(part, str) and part in here.model_fields:
            here = _model_in(here.model_fields[part].annotation)
    fields = here.model_fields if here is not None else {}
    return [field.alias or name for name, field in fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def missing_package(what: str, error: ImportError, extra: str | None = None) -> ConfigError:
    """Returns the error for a plugin whose optional dependency is not installed."""
    package = (error.name or "a package").partition(".")[0]
    install = f"bartizan[{extra}]" if extra else package.replace("_", "-")
    return ConfigError(
        "PACKAGE_MISSING",
        f"{what} needs '{package}', which cannot be imported; try: pip install '{install}'",
        metadata={"package": package},
    )


def as_mapping(document: object, where: str) -> Mapping[str, Any]:
    """Returns a document that must be a mapping. Raises ConfigError if it is not."""
    if not isinstance(document, Mapping):
        raise ConfigError("INVALID_CONFIG", f"{where}: must be a mapping of keys to values")
    return document
