"""Exceptions that only a bug in the operator can raise: caught, so that others go on; logged; and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator import logs

if TYPE_CHECKING:
    from collections.abc import Callable


log = logs.logger(__name__)


class Bugs:
    """The number of bugs caught since the start."""

    def __init__(self) -> None:
        self.count = 0

    def record(self, message: str, **fields: object) -> None:
        """Count the exception that is being handled, and log it with its trace."""
        self.count += 1
        log.exception(message, **fields)

    def call(self, listener: Callable[..., None], *arguments: object) -> None:
        """Call a listener; what it raises is recorded, so that the next listener still hears of the change."""
        try:
            listener(*arguments)
        except Exception:  # one listener's bug must not cost the others their event
            self.record("a listener raised: this is a bug in the operator", listener=repr(listener))
