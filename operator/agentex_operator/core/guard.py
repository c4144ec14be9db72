"""The one guard around parsers that are not ours: whatever a parser raises becomes the error of its caller.

Parsers raise more than they document: pydantic passes on the OverflowError of a validator, PyYAML raises KeyError for
`!!bool maybe`, a JSON text that is nested deeply raises RecursionError. `tests/house/test_guarded_parsers.py` finds
every call of a parser that is not behind this guard.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from agentex_operator.core.errors import ExternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@contextmanager
def raising(error_of: Callable[[Exception], Exception]) -> Iterator[None]:
    """Raise what `error_of` makes of any exception that is raised inside; an ExternalError is passed on.

    The exception is not chained: its text may hold a part of the input, which may be secret.
    """
    try:
        yield
    except ExternalError:
        raise
    except Exception as error:  # the purpose of the guard: a parser may raise any class
        raise error_of(error) from None


def result(parse: Callable[Parameters, Result], *arguments: Parameters.args,
           **options: Parameters.kwargs) -> Result | Exception:
    """The result of a parser, or the exception that the parser raises."""
    try:
        return parse(*arguments, **options)
    except Exception as error:  # the purpose of the guard: a parser may raise any class
        return error


def or_none(parse: Callable[Parameters, Result], *arguments: Parameters.args,
            **options: Parameters.kwargs) -> Result | None:
    """The result of a parser; None if the parser raises."""
    found = result(parse, *arguments, **options)
    return None if isinstance(found, Exception) else found
