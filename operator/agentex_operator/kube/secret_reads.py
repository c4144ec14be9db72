"""The only reader of Secrets: every Secret is checked (core/secret_use.py) before anything of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentex_operator.core import secret_use

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.kube.cluster import Cluster


@dataclass(frozen=True, slots=True)
class CheckedObjects:
    """Reads ConfigMaps and Secrets that resources name. `consent_required`: a Secret must have the consent label.

    `config_map_read` is called with namespace, name and answer of each read of a ConfigMap.
    """

    cluster: Cluster
    config_map_read: Callable[[str, str, Mapping[str, Any] | None], None]
    consent_required: bool = False

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster."""
        found = await self.cluster.config_map(namespace, name, since)
        self.config_map_read(namespace, name, found)
        return found

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster. Raises NotReady(SecretInvalid) for a Secret that may not be used."""
        found = await self.cluster.secret(namespace, name, since)
        if found is not None:
            secret_use.require_usable(found, consent_required=self.consent_required)
        return found
