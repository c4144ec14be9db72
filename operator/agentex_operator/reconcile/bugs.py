"""Exceptions that only a bug in the operator can raise: caught, so that others go on; logged; and counted."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from agentex_operator import logs

if TYPE_CHECKING:
    from collections.abc import Callable


log = logs.logger(__name__)


class CallRaisedError(Exception):
    """A call of a pass raised an exception that nobody listed; that exception is the cause."""

    def __init__(self, call: str) -> None:
        super().__init__(f"the call {call} raised")
        self.call = call


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


def reference_of(error: BaseException, uid: str) -> str:
    """Ten hex digits for an exception in a pass of one object: of its class and the functions it went through.

    The same failure of the same object has the same reference, so that a status that shows it is written once.
    """
    cause = error.__cause__ if isinstance(error, CallRaisedError) and error.__cause__ else error
    frames = traceback.extract_tb(cause.__traceback__)
    places = dict.fromkeys((Path(frame.filename).name, frame.name) for frame in frames)  # recursion counts once
    return hashlib.sha256(repr((uid, type(cause).__qualname__, *places)).encode()).hexdigest()[:10]
