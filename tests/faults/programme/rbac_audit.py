"""The operator's rights, by the audit log of a whole run: no request was forbidden, and every right was used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from agentex_dev import demo_access
from agentex_testkit.judge.findings import Finding, Harm

Right = tuple[str, str, str]  # group, resource or resource/subresource, verb
FORBIDDEN = 403


class AuditLog:
    """Reads an audit log bit by bit, and returns each right once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._seen: set[tuple[Right, bool]] = set()

    def news(self) -> tuple[frozenset[Right], frozenset[Right]]:
        """The rights that requests needed, and those that were forbidden, first seen since the last call."""
        seen = {(right_of(one), one["responseStatus"]["code"] == FORBIDDEN) for one in self._requests()}
        fresh, self._seen = seen - self._seen, self._seen | seen
        return frozenset(right for right, _ in fresh), frozenset(right for right, refused in fresh if refused)

    def _requests(self) -> Iterator[dict[str, Any]]:
        """The operator's requests about resources in the whole lines that were added; discovery does not count."""
        if not self._path.exists():
            return
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                request = json.loads(line)
                if "objectRef" in request and "responseStatus" in request:
                    yield request


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
