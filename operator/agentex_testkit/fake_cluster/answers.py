"""The answers outside 2xx of a fake API server, classified by the operator's own table (kube/responses.py)."""

from __future__ import annotations

import json

from agentex_operator.core.errors import ExternalError
from agentex_operator.kube import responses


class ApiError(Exception):
    """The API server refuses a request: an HTTP status and its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def as_operator_error(self) -> ExternalError:
        """Return the error that the operator's adapter makes of this answer."""
        return responses.error_of(self.status, {}, json.dumps({"message": self.message}).encode())


def conflict(name: str) -> ApiError:
    """The object changed since it was read."""
    return ApiError(409, f"the object {name!r} has been modified")


def not_found(name: str) -> ApiError:
    """There is no such object."""
    return ApiError(404, f"{name!r} not found")
