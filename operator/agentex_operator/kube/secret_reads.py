"""The only reader of Secrets: every Secret is checked (core/secret_use.py) before anything of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentex_operator.core import secret_use

if TYPE_CHECKING:
    from agentex_operator.kube.cluster import Cluster


@dataclass(frozen=True, slots=True)
class CheckedObjects:
    """Reads ConfigMaps and Secrets that resources name. `consent_required`: a Secret must have the consent label."""

    cluster: Cluster
    consent_required: bool = False

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster."""
        return await self.cluster.config_map(namespace, name, since)

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster. Raises NotReady(SecretInvalid) for a Secret that may not be used."""
        found = await self.cluster.secret(namespace, name, since)
        if found is not None:
            secret_use.require_usable(found, consent_required=self.consent_required)
        return found
