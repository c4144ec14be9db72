"""Reading one of the vendor's files: from YAML text to a validated model, with errors in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from agentex_operator.core import guard, quoting, yaml_text
from agentex_operator.core.errors import InvalidInput

if TYPE_CHECKING:
    from agentex_operator.core.reasons import Reason

ModelT = TypeVar("ModelT", bound=BaseModel)


def mapping(text: str, reason: Reason, name: str) -> dict[str, object]:
    """The YAML text as a map; `name` is the file's name in messages. Raises InvalidInput(reason)."""
    document = yaml_text.load(text, reason, name)
    if not isinstance(document, dict):
        raise InvalidInput(reason, f"{name} must be a YAML map; it is {_shape(document)}.")
    return document


def validated(model: type[ModelT], document: dict[str, object], reason: Reason, name: str) -> ModelT:
    """The document as this model. Raises InvalidInput(reason) with the first problem and what to do."""
    with guard.raising(lambda error: InvalidInput(reason, f"{name}: {_problem(error)}.")):
        return model.model_validate(document)


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return _first_problem(error)
    return "it has a value that cannot be read; correct it"


def _first_problem(error: ValidationError) -> str:
    """The place of the first problem, the problem, and what to do; never a value, which may be secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = quoting.plain(".".join(str(part) for part in first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {_advice(first['type'], first['msg'], first['input'])}{more}"


def _advice(kind: str, message: str, value: object) -> str:
    if kind == "missing":
        return "it is required; add it"
    if kind == "string_type" and value is None:
        return "it must be a text, and it is empty; write one"
    if kind == "string_type" and not isinstance(value, dict | list):
        return "it must be a text; put it in quotes"
    if kind == "string_pattern_mismatch":
        return "only lower-case letters, digits and hyphens are allowed; rename it"
    return message[:1].lower() + message[1:]


def _shape(value: object) -> str:
    return {"NoneType": "empty", "list": "a list"}.get(type(value).__name__, "a single value")
