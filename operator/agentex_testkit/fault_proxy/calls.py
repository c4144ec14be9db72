"""The names of calls, the same in every run: the server, the verb, the object, and the number of the call.

    kube PATCH agentbuilds/quote/status #2        the second write of this status
    remote POST /v5/builds #1                     the first create
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

KUBE, REMOTE = "kube", "remote"
NAMESPACED = re.compile(r"^/(?:api/v1|apis/[^/]+/[^/]+)/namespaces/[^/]+/(?P<rest>.+)$")
ELSEWHERE = re.compile(r"^/(?:api/v1|apis/[^/]+/[^/]+)/(?P<rest>.+)$")
EVENT = re.compile(r"^events/[^/]+")   # named by chance
REMOTE_ID = re.compile(r"^(/v5/(?:builds|agentex/deployments))/(?!undeployed)[^/]+")
MUTATING = ("POST", "PATCH", "PUT", "DELETE")


class Call(NamedTuple):
    """One call, named."""

    server: str
    verb: str
    what: str
    number: int

    def __str__(self) -> str:
        return f"{self.server} {self.verb} {self.what} #{self.number}"

    @property
    def site(self) -> str:
        """The call site: the name without the object and the number. Accounts of both scopes share one.

        One place serves accounts of both scopes.
        """
        what = re.sub(r"^(?:cluster)?([a-z]+)(?:/[^/]+)?", r"\1", self.what) if self.server == KUBE else self.what
        return f"{self.server} {self.verb} {what}"

    @property
    def mutates(self) -> bool:
        """Whether it changes a build or a deployment, here or remotely; Events and accounts do not count."""
        return self.verb in MUTATING and not self.what.startswith(("events", "agentexaccounts"))

    @property
    def creates(self) -> bool:
        """Whether it is a create of the remote API."""
        return self.server == REMOTE and self.verb == "POST" and not self.what.endswith("/cancel")

    @classmethod
    def parse(cls, text: str) -> Call:
        """The call of that name."""
        server, verb, what, number = text.split(" ")
        return cls(server, verb, what, int(number.removeprefix("#")))


class Counting:
    """Names calls as they come."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, str]] = Counter()

    def name(self, server: str, method: str, path: str, query: Mapping[str, str]) -> Call:
        """The name of the next call of this sort."""
        key = (server, *(_kube(method, path, query) if server == KUBE else _remote(method, path)))
        self._seen[key] += 1
        return Call(*key, self._seen[key])


def _kube(method: str, path: str, query: Mapping[str, str]) -> tuple[str, str]:
    found = NAMESPACED.match(path) or ELSEWHERE.match(path)
    what = EVENT.sub("events/{name}", found["rest"] if found else path)
    if method != "GET" or "/" in what:
        return method, what
    return ("WATCH" if query.get("watch") in ("1", "true") else "LIST"), what


def _remote(method: str, path: str) -> tuple[str, str]:
    what = REMOTE_ID.sub(r"\1/{id}", path)
    return ("LIST" if method == "GET" and what in ("/v5/builds", "/v5/agentex/deployments") else method), what
