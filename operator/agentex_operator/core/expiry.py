"""When a preview ends, and what may happen to its resource then (ecosystem.md §1.6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentex_operator.api.scalars import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.api.deployment import Preview

DEFAULT_TTL = "8h"                      # what the vendor gives a preview without expires_at (agentex-api.md §6)
NOTICE_BEFORE = timedelta(minutes=15)

GITOPS_ANNOTATIONS = frozenset({"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"})
GITOPS_LABELS = frozenset({"argocd.argoproj.io/instance", "app.kubernetes.io/instance",
                           "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"})


def expires_at(preview: Preview, now: datetime) -> datetime:
    """The moment a preview created now ends: after its ttl, at the next whole second."""
    if preview.expires_at is not None:
        return preview.expires_at
    ends = now + duration(preview.ttl or DEFAULT_TTL)
    return (ends + timedelta(microseconds=999_999)).replace(microsecond=0)


def soon_at(preview: Preview, ends: datetime) -> datetime:
    """When to warn: 15 minutes before the end, but never before three quarters of the ttl are over."""
    ttl = duration(preview.ttl or DEFAULT_TTL)
    return ends - min(NOTICE_BEFORE, ttl / 4)


def managed_by_gitops(labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    """Whether Argo CD, Flux or Helm would recreate the resource if we deleted it."""
    helm = labels.get("app.kubernetes.io/managed-by") == "Helm" and "meta.helm.sh/release-name" in annotations
    return helm or bool(GITOPS_LABELS & set(labels)) or bool(GITOPS_ANNOTATIONS & set(annotations))


def stamp(moment: datetime | None) -> str:
    """The moment for a message, in UTC to the second; a question mark where there is none."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "?"
