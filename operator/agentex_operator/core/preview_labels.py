"""Preview labels, as the server spells them."""

from __future__ import annotations

import re
from typing import Final

LONGEST_LABEL: Final = 30  # characters


def sanitised_label(label: str) -> str | None:
    """The preview label as the server will spell it; None if no character is left (agentex-api.md §6)."""
    spelt = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return spelt[:LONGEST_LABEL].strip("-") or None
