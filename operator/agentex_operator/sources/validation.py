"""Validation of a source's spec, and the errors of a spec that cannot be used."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from agentex_operator.api.schema import adapter
from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput

ModelT = TypeVar("ModelT")


def validated(model: type[ModelT], value: object, member: str) -> ModelT:
    """The value as this model. Raises InvalidInput(InvalidSpec) with the first problem and its place in the spec."""
    try:
        return adapter(model).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, ("spec.source", member, *first["loc"])))
        raise InvalidInput(reasons.INVALID_SPEC, f"{place}: {first['msg']}. Correct it.") from None


def no_context() -> InvalidInput:
    """The error for a source without a build context."""
    return InvalidInput(reasons.INVALID_SPEC, "The source has no build context. Set spec.source.configMap, "
                                              "spec.source.secret or spec.source.http.")
