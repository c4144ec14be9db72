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


def forbidden(audit: Path) -> Iterator[Finding]:
    """Every request that was forbidden, each sort once."""
    for right in sorted({right_of(one) for one in read(audit) if one["responseStatus"]["code"] == 403}):
        yield Finding("RBAC", f"{' '.join(right)} was forbidden", Harm.OTHER)


def unused(audit: Path) -> Iterator[Finding]:
    """Every right that no request used."""
    for right in sorted(granted() - {right_of(one) for one in read(audit)}):
        yield Finding("RBAC", f"{' '.join(right)} is granted, and was never used", Harm.OTHER)


def read(audit: Path) -> Iterator[dict[str, Any]]:
    """What the operator asked for, of resources; discovery is everybody's."""
    for line in audit.read_text().splitlines():
        one = json.loads(line)
        if "objectRef" in one and "responseStatus" in one:
            yield one


def right_of(request: dict[str, Any]) -> Right:
    """The right that a request needs."""
    about = request["objectRef"]
    what = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    return about.get("apiGroup", ""), what, request["verb"]


def granted(rules: Iterable[dict[str, Any]] | None = None) -> set[Right]:
    """What the chart's ClusterRole allows."""
    rules = yaml.safe_load(demo_access.RULES.read_text()) if rules is None else rules
    return {(group, resource, verb) for rule in rules for group in rule["apiGroups"]
            for resource in rule["resources"] for verb in rule["verbs"]}
