"""What an administrator installs before the operator starts: CRDs, its ServiceAccount, the chart's rights, no more."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentex_dev import demo_access
from agentex_dev.cluster import Cluster
from agentex_dev.kubeconfig import Server, write_kubeconfig
from agentex_testkit.api_server import OURS_ARE_SERVED, ApiServer, eventually


@dataclass(frozen=True)
class Installation:
    """A cluster with CRDs and service account; `kubeconfig` is the operator's, `administrator` a token."""

    cluster: Cluster
    api: ApiServer
    kubeconfig: Path
    uid: str
    administrator: str


def kubeconfig_through(url: str, installation: Installation, path: Path) -> Path:
    """The operator's kubeconfig, at this path, for an API server that it reaches at another address."""
    token = installation.cluster.kubectl("create", "token", demo_access.ACCOUNT, "-n", demo_access.NAMESPACE).strip()
    return write_kubeconfig(path, Server(url, installation.cluster.server.ca), "operator", token)


@contextmanager
def installed(cluster: Cluster) -> Iterator[Installation]:
    """Install all of it, and look on as administrator."""
    _install(cluster)
    operator = cluster.service_account_kubeconfig(demo_access.NAMESPACE, demo_access.ACCOUNT)
    token = _administrator(cluster)
    api = ApiServer(cluster.url, cluster.server.ca, token)
    eventually(lambda: [api.http.get(path).status_code for path in OURS_ARE_SERVED], lambda seen: set(seen) == {200})
    kube_system = api.get("Namespace", "kube-system") or {}
    yield Installation(cluster, api, operator, kube_system["metadata"]["uid"], token)
    api.close()


def _install(cluster: Cluster) -> None:
    objects = {"apiVersion": "v1", "kind": "List", "items": demo_access.service_account()}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(demo_access.CRDS))
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(objects))
    cluster.kubectl("wait", "--for=condition=Established", "-f", str(demo_access.CRDS), "--timeout=60s")


def _administrator(cluster: Cluster) -> str:
    """A token for the tests themselves, whatever the cluster's own administrator logs in with."""
    where, name = "default", f"tests-{secrets.token_hex(3)}"
    cluster.kubectl("create", "serviceaccount", name, "-n", where)
    subject = f"--serviceaccount={where}:{name}"
    cluster.kubectl("create", "clusterrolebinding", name, "--clusterrole=cluster-admin", subject)
    return cluster.kubectl("create", "token", name, "-n", where, "--duration=12h").strip()
