"""The operator's rights, by the audit log of a whole run: no request was forbidden, and every right was used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from agentex_dev import demo_access
from agentex_testkit.judge.findings import Finding, Harm

Right = tuple[str, str, str]  # group, resource or resource/subresource, verb
FORBIDDEN = 403


class AuditLog:
    """Reads an audit log bit by bit, and returns each right once. The API server may rotate the log meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: BinaryIO | None = None
        self._seen: set[tuple[Right, bool]] = set()

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def news(self) -> tuple[frozenset[Right], frozenset[Right]]:
        """The rights that requests needed, and those that were forbidden, first seen since the last call."""
        seen = {(right_of(one), one["responseStatus"]["code"] == FORBIDDEN) for one in self._requests()}
        fresh, self._seen = seen - self._seen, self._seen | seen
        return frozenset(right for right, _ in fresh), frozenset(right for right, refused in fresh if refused)

    def _requests(self) -> Iterator[dict[str, Any]]:
        """The operator's requests about resources in the whole lines that were added; discovery does not count."""
        for line in self._lines():
            request = json.loads(line)
            if "objectRef" in request and "responseStatus" in request:
                yield request

    def _lines(self) -> Iterator[bytes]:
        """The whole lines that were added: the rest of a file that was rotated away, then those of the new file."""
        while True:
            if self._open is None and self._path.exists():
                self._open = self._path.open("rb")
            if self._open is None:
                return
            rotated = self._path.exists() and not os.path.samestat(self._path.stat(), os.fstat(self._open.fileno()))
            yield from _whole_lines(self._open)
            if not rotated:
                return
            self.close()


def _whole_lines(log: BinaryIO) -> Iterator[bytes]:
    """The lines from the position on; a last line that is not whole yet stays to be read."""
    while (line := log.readline()).endswith(b"\n"):
        yield line
    log.seek(-len(line), os.SEEK_CUR)


def forbidden(rights: Iterable[Right]) -> Iterator[Finding]:
    """A finding for every right that a request needed and did not have."""
    for right in sorted(rights):
        yield Finding("RBAC", f"{' '.join(right)} was forbidden", Harm.OTHER)


def unused(used: Iterable[Right]) -> Iterator[Finding]:
    """A finding for every right that no request used."""
    for right in sorted(granted() - set(used)):
        yield Finding("RBAC", f"{' '.join(right)} is granted, and was never used", Harm.OTHER)


def right_of(request: dict[str, Any]) -> Right:
    """The right that a request needs."""
    about = request["objectRef"]
    what = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    return about.get("apiGroup", ""), what, request["verb"]


def granted(rules: Iterable[dict[str, Any]] | None = None) -> set[Right]:
    """The rights that the chart's ClusterRole grants."""
    rules = yaml.safe_load(demo_access.RULES.read_text()) if rules is None else rules
    return {(group, resource, verb) for rule in rules for group in rule["apiGroups"]
            for resource in rule["resources"] for verb in rule["verbs"]}
