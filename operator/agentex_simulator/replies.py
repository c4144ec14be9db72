"""Answers as values, before any byte is sent."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from agentex_simulator.errors import RejectedError

Frames = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Reply:
    """Status, body and headers; `frames` instead of a body for a stream of server-sent events."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    frames: Frames | None = None


def json_reply(value: Any, status: int = 200) -> Reply:
    """A JSON document."""
    return Reply(status, json.dumps(value).encode())


def rejection(error: RejectedError) -> Reply:
    """{"detail": ...}, the shape FastAPI gives every refusal (agentex-api.md section 1.1)."""
    return json_reply({"detail": error.detail}, error.status)
