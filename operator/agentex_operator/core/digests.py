"""Digests of one pass: each is computed once, although every answer makes a new observed value."""

from __future__ import annotations

import hashlib
import json


class Digests:
    """sha256 digests (hex) by the parts that they are made of; `dataclasses.replace` hands the same ones on.

    The parts that a key leaves out, such as the spec, must not change within a pass.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, ...], str] = {}

    def of(self, key: tuple[str | None, ...], *parts: object) -> str:
        """The digest of `parts`, computed when `key` is first asked for."""
        if key not in self._known:
            self._known[key] = digest_of(*parts)
        return self._known[key]


def digest_of(*parts: object) -> str:
    """sha256 (hex) of the parts as JSON; a part that JSON does not know is written as text."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
