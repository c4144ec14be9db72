"""The kinds that this operator reads or writes, and their paths on the API server."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

GROUP = "agentex.scale.com"
VERSION = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind, and the paths of its objects. `remote_id`: the member of the status with the id of the remote object."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    remote_id: str | None = None

    @property
    def api_version(self) -> str:
        """The value of an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path under which the group and version are served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None, name: str) -> str:
        """The path of one object. Raises ValueError if a namespaced kind has no namespace or a cluster kind has one."""
        if self.namespaced != (namespace is not None):
            message = f"{self.kind} {name}: a namespace belongs to namespaced kinds, and only to them"
            raise ValueError(message)
        return f"{self.collection(namespace)}/{quote(name, safe='')}"

    def collection(self, namespace: str | None) -> str:
        """The path of all objects, in one namespace or in all."""
        within = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
        return f"{self.root}{within}/{self.plural}"


AGENT_BUILD = Kind(GROUP, VERSION, "agentbuilds", "AgentBuild", namespaced=True, remote_id="buildID")
AGENT_DEPLOYMENT = Kind(GROUP, VERSION, "agentdeployments", "AgentDeployment", namespaced=True,
                        remote_id="deploymentID")
AGENTEX_ACCOUNT = Kind(GROUP, VERSION, "agentexaccounts", "AgentexAccount", namespaced=True)
CLUSTER_AGENTEX_ACCOUNT = Kind(GROUP, VERSION, "clusteragentexaccounts", "ClusterAgentexAccount", namespaced=False)
KINDS = (AGENT_BUILD, AGENT_DEPLOYMENT, AGENTEX_ACCOUNT, CLUSTER_AGENTEX_ACCOUNT)

CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap", namespaced=True)
SECRET = Kind("", "v1", "secrets", "Secret", namespaced=True)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
EVENT = Kind("events.k8s.io", "v1", "events", "Event", namespaced=True)
