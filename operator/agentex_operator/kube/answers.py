"""What the API server's answers mean, as our errors (core/errors.py)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentex_operator.core.errors import Conflict, ExternalError, Rejected, Throttled, Unauthorized, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_MESSAGE = 400
LONGEST_RETRY_AFTER = timedelta(minutes=5)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer; raises Unavailable where it is none."""
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise Unavailable("the API server's answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise Unavailable("the API server's answer is not an object")
    return parsed


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ExternalError:
    """The error an answer outside 2xx stands for."""
    said = _status(body)
    message = (
        f"the API server answered {status}: {str(said.get('message') or said.get('reason') or '')[:LONGEST_MESSAGE]}"
    )
    if status in {404, 409}:
        return Conflict(message)
    if status in {401, 403}:
        return Unauthorized(message, status=status)
    if status == 429:
        return Throttled(message, retry_after=retry_after(headers))
    if status == 408 or status >= 500:
        return Unavailable(message, status=status)
    return Rejected(message, status=status)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The wish of a Retry-After header in seconds, bounded; None where there is none we understand."""
    wish = headers.get("Retry-After", "")
    return min(timedelta(seconds=int(wish)), LONGEST_RETRY_AFTER) if wish.isascii() and wish.isdigit() else None


def _status(body: bytes) -> dict[str, Any]:
    try:
        return parse(body)
    except Unavailable:
        return {}
