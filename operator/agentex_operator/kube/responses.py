"""Responses of the API server: their JSON, and the error (core/errors.py) that a refusal means."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentex_operator.core import guard, sentences
from agentex_operator.core.errors import Conflict, ExternalError, Rejected, Throttled, Unauthorized, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_MESSAGE = 400  # characters
LONGEST_RETRY_AFTER = timedelta(minutes=5)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in the body of a response. Raises Unavailable if the body is anything else."""
    with guard.raising(lambda _error: Unavailable("the API server's answer is not JSON")):
        parsed = json.loads(body)
    if not isinstance(parsed, dict):
        raise Unavailable("the API server's answer is not an object")
    return parsed


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ExternalError:
    """The error that a response with a status outside 2xx means."""
    details = _status(body)
    reason = str(details.get("message") or details.get("reason") or "")[:LONGEST_MESSAGE]
    message = sentences.sentence(f"The API server answered {status}: {reason}")
    if status in {404, 409}:
        return Conflict(message)
    if status in {401, 403}:
        return Unauthorized(f"{message} Give the operator this right (docs/operations.md).", status=status)
    if status == 429:
        return Throttled(message, retry_after=retry_after(headers))
    if status == 408 or status >= 500:
        return Unavailable(message, status=status)
    return Rejected(message, status=status)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The value of the Retry-After header, at most five minutes; None without a header that is a number of seconds."""
    value = headers.get("Retry-After", "")
    return guard.or_none(_bounded, value) if value.isascii() and value.isdigit() else None


def _bounded(seconds: str) -> timedelta:
    return min(timedelta(seconds=int(seconds)), LONGEST_RETRY_AFTER)


def _status(body: bytes) -> dict[str, Any]:
    """The meta/v1 Status in the body; an empty one where there is none."""
    try:
        return parse(body)
    except Unavailable:
        return {}
