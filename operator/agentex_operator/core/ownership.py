"""Ownership tokens: how a remote object says whose it is, and how we find it when an answer was lost (P2).

A token is made of the resource's uid, never of its name: a successor of the same name is another owner.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from agentex_operator.core import byte_order_mark

_TAG = re.compile(r"^(?P<digest>[0-9a-f]{12})-(?P<owner>[0-9a-f]{8})(?P<attempt>[1-9][0-9]{0,8})$")
_REF = re.compile(r"\(agentex\.scale\.com/owner (?P<owner>[0-9a-f]{8})\.(?P<attempt>[1-9][0-9]{0,8})\)$")
_COMMENT = "# agentex.scale.com/owner: "


def owner_of(cluster: str, uid: str) -> str:
    """Eight hex digits that name one resource: of the cluster's kube-system uid and the resource's own."""
    return hashlib.sha256(f"{cluster}/{uid}".encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class BuildToken:
    """What a remote build's tag (or source_ref, where the tag is pinned) says of its owner."""

    owner: str
    attempt: int
    digest: str | None  # the first 12 hex digits of the inputs digest; None where the tag is pinned

    @property
    def text(self) -> str:
        """The token as status.operator.pendingCreate and the audit log show it."""
        return f"{self.digest or 'pinned'}-{self.owner}{self.attempt}"


def derived_tag(inputs_digest: str, owner: str, attempt: int) -> str:
    """The immutable image tag that names the content and the owner (resources.md)."""
    return f"{inputs_digest[:12]}-{owner}{attempt}"


def marked_ref(ref: str | None, owner: str, attempt: int) -> str:
    """The source_ref that carries the owner where the tag cannot (resources.md)."""
    return f"{ref} {mark}" if (mark := f"(agentex.scale.com/owner {owner}.{attempt})") and ref else mark


def build_token(image_tag: str, source_ref: str | None) -> BuildToken | None:
    """Read the token back from an echoed record; None where it carries none."""
    if found := _REF.search(source_ref or ""):
        return BuildToken(found["owner"], int(found["attempt"]), None)
    if found := _TAG.match(image_tag):
        return BuildToken(found["owner"], int(found["attempt"]), found["digest"])
    return None


def deployment_token(cluster: str, uid: str, digest: str, attempt: int) -> str:
    """The token of one deployment attempt: `<cluster>/<uid>/<configuration digest 12>/<attempt>`."""
    return f"{deployment_owner_of(cluster, uid)}/{digest[:12]}/{attempt}"


def deployment_owner_of(cluster: str, uid: str) -> str:
    """The owner that the tokens of a resource's deployments name: `<cluster>/<uid>`."""
    return f"{cluster}/{uid}"


def deployment_owner(token: str) -> str:
    """The part of a deployment's token that names its resource: `<cluster>/<uid>`."""
    return "/".join(token.split("/")[:2])


def with_token(manifest: str, token: str) -> str:
    """The manifest text with the ownership comment as its first line, in which no byte-order mark may follow."""
    return f"{_COMMENT}{token}\n{byte_order_mark.without_mark(manifest)}"


def token_in(manifest: str) -> str | None:
    """The token in the first line of an echoed manifest; None where there is none."""
    first = manifest.partition("\n")[0].rstrip("\r")
    return first.removeprefix(_COMMENT).strip() if first.startswith(_COMMENT) else None
