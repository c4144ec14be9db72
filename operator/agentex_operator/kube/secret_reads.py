"""The only reader of Secrets: every Secret is checked (core/secret_use.py) before anything of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentex_operator.core import secret_use

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from agentex_operator.kube.cluster import Cluster


@dataclass(frozen=True, slots=True)
class CheckedObjects:
    """Reads ConfigMaps and Secrets that resources name. `consent_required`: a Secret must have the consent label.

    `config_map_read` is called with namespace, name and answer of each read of a ConfigMap. `digests_of` answers
    `config_map_digests`.
    """

    cluster: Cluster
    config_map_read: Callable[[str, str, Mapping[str, Any] | None], None]
    digests_of: Callable[[str, str], MutableMapping[str, str] | None]
    consent_required: bool = False

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster."""
        found = await self.cluster.config_map(namespace, name, since)
        self.config_map_read(namespace, name, found)
        return found

    def config_map_digests(self, namespace: str, name: str) -> MutableMapping[str, str] | None:
        """The digests of values of a ConfigMap, by key, to read and to add to; None while its changes are not told.

        They hold until the ConfigMap changes. Ask for them before the read whose digest is added.
        """
        return self.digests_of(namespace, name)

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster. Raises NotReady(SecretInvalid) for a Secret that may not be used."""
        found = await self.cluster.secret(namespace, name, since)
        if found is not None:
            secret_use.require_usable(found, consent_required=self.consent_required)
        return found
