"""What can go wrong outside, by what happened. Adapters raise these; `core/failures.py` decides what each means.

    ExternalError
    ├── Rejected         a definite no about the input: 400, 404 on create, 409 on secrets, 413, 422
    ├── Unauthorized     401 or 403: the account may not do this, now
    ├── Throttled        429: sent before anything was done
    ├── Unavailable      timeout, reset, 5xx, 408, unreadable answer: it may or may not have happened
    ├── InvalidInput     the user's bytes or text cannot be used; only other input helps
    ├── NotReady         something this depends on is not there yet; it may come by itself
    └── Conflict         the Kubernetes object changed (409) or went (404) since it was read
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


class ExternalError(Exception):
    """Base of all: `message` is one sentence for a person, free of secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def add_sentence(self, text: str) -> None:
        """Add a sentence to the end of the message."""
        self.message = f"{self.message} {text}"
        self.args = (self.message, *self.args[1:])


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

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotReady(ExternalError):
    """Something named by the resource is missing or unfinished; `reason` as in InvalidInput."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Conflict(ExternalError):
    """A conditional Kubernetes write found another resourceVersion, or no object at all."""
