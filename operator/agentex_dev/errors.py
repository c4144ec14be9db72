"""What can go wrong while preparing or running the real parts, said in one sentence with the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DevError(Exception):
    """Something a developer has to know; its text needs no traceback."""


def tail(log: Path, lines: int = 25) -> str:
    """Give the last lines of a log, or say that there is none."""
    if not log.exists():
        return f"({log} was never written)"
    kept = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(kept) or f"({log} is empty)"
