"""What can go wrong outside, by what happened. Adapters raise these; `core/failures.py` decides what each means.

    ExternalError
    ├── Rejected         a definite no about the input: 400, 404 on create, 409 on secrets, 413, 422
    ├── Unauthorized     401 or 403: the account may not do this, now
    ├── Throttled        429: sent before anything was done
    ├── Unavailable      timeout, reset, 5xx, 408, unreadable answer: it may or may not have happened
    ├── InvalidInput     the user's bytes or text cannot be used; only other input helps
    ├── NotReady         something this depends on is not there yet; it may come by itself
    ├── Undone           another client undoes what the operator writes to the object: the write waits
    └── Conflict         the Kubernetes object changed (409) or went (404) since it was read
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from agentex_operator.core.reasons import Reason


class ExternalError(Exception):
    """Base of all: `message` is one sentence for a person, free of secrets.

    `of_account`: it comes from the connection of a remote account, not from the cluster or a source.
    """

    of_account = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def add_sentence(self, text: str) -> None:
        """Add a sentence to the end of the message."""
        self.message = f"{self.message} {text}"
        self.args = (self.message, *self.args[1:])

    def with_sentence(self, text: str) -> Self:
        """A copy with this sentence at the end of the message: the error itself may be raised to others, too."""
        named = type(self).__new__(type(self), *self.args)
        named.__dict__.update(self.__dict__)
        named.add_sentence(text)
        return named


@contextmanager
def of_account() -> Iterator[None]:
    """Mark each ExternalError that is raised inside as one of a remote account."""
    try:
        yield
    except ExternalError as error:
        error.of_account = True
        raise


class Rejected(ExternalError):
    """The remote answered no and did nothing (agentex-api.md §1.1)."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unauthorized(ExternalError):
    """The remote answered 401 or 403: it did nothing, and will not until the key or the account changes."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Throttled(ExternalError):
    """The remote answered 429 before doing anything; `retry_after` is its wish, already bounded, or None."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ExternalError):
    """No usable answer. Of a read: try again. Of a create: it may have happened, look for it first.

    `status` is the HTTP status where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class InvalidInput(ExternalError):
    """The user's input cannot be used: `reason` is a condition reason of `core/reasons.py`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotReady(ExternalError):
    """Something named by the resource is missing or unfinished; `reason` as in InvalidInput."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Undone(ExternalError):
    """A write to the Kubernetes object that was not made yet, because another client undoes it each time.

    `retry_after`: when it may be made.
    """

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(ExternalError):
    """A conditional Kubernetes write found another resourceVersion, or no object at all."""
