"""The requests that a fake API server gets, read from the paths that the operator's adapter makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from agentex_operator.kube.kinds import Kind
from agentex_testkit.fake_cluster.answers import ApiError

Verb = Literal["get", "list", "watch", "create", "patch", "patch_status", "delete"]
WRITES = ("create", "patch", "patch_status", "delete")


@dataclass(frozen=True)
class Request:
    """One request: `name` is None of a list and a watch; `body` is that of a write."""

    verb: Verb
    kind: Kind
    namespace: str | None
    name: str | None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Kind, str | None, str]:
        """The object that it is about; of a create the name is in the body."""
        return self.kind, self.namespace, self.name or str(self.body["metadata"]["name"])


def read(method: str, url: str, body: Mapping[str, Any], kinds: Iterable[Kind]) -> Request:
    """Return the request behind a method and a path; raises ApiError 404 for a path that no kind has."""
    path, is_watch = urlsplit(url).path, "watch" in parse_qs(urlsplit(url).query)
    for kind in kinds:
        rest = _below(path, kind.root)
        if rest is None:
            continue
        namespace, rest = _namespace(rest, kind)
        if rest and rest[0] == kind.plural and len(rest) <= 3:
            verb = "watch" if is_watch else _verb(method, rest)
            return Request(verb, kind, namespace, rest[1] if rest[1:] else None, body)
    raise ApiError(404, f"no such path: {path}")


def _below(path: str, root: str) -> list[str] | None:
    """The segments of a path below a root; None of a path elsewhere."""
    return [unquote(one) for one in path[len(root) + 1 :].split("/")] if path.startswith(f"{root}/") else None


def _namespace(segments: list[str], kind: Kind) -> tuple[str | None, list[str]]:
    if kind.namespaced and segments[0] == "namespaces" and segments[2:]:
        return segments[1], segments[2:]
    return None, segments


def _verb(method: str, segments: list[str]) -> Verb:
    if method == "GET":
        return "get" if segments[1:] else "list"
    if method == "PATCH":
        return "patch_status" if segments[2:] == ["status"] else "patch"
    return "create" if method == "POST" else "delete"
