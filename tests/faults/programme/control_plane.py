"""Start the control plane of a run, with the operator installed and an audit log of the operator's requests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.runner.runner import ClusterAccess

from agentex_dev import demo_access
from agentex_dev.controlplane import ControlPlane
from agentex_dev.flags import Audit
from agentex_dev.programs import find_programs
from agentex_testkit.installation import Installation, installed

AUDIT_LOG = "audit.log"
COLLECT_AT = "400"  # percent: API server and etcd take more memory, and less of the two cores that all workers share
OPERATOR = f"system:serviceaccount:{demo_access.NAMESPACE}:{demo_access.ACCOUNT}"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "users": [OPERATOR]}, {"level": "None"}],
}


@contextmanager
def on_control_plane(folder: Path) -> Iterator[ClusterAccess]:
    """A control plane of its own, with an audit log in the folder."""
    with plane_with_access(folder) as (_, access):
        yield access


@contextmanager
def plane_with_access(folder: Path) -> Iterator[tuple[ControlPlane, ClusterAccess]]:
    """The same, for whoever wants to stop parts of it."""
    os.environ.setdefault("GOGC", COLLECT_AT)
    audit = Audit(folder / "policy.json", folder / AUDIT_LOG)
    audit.policy.write_text(json.dumps(POLICY))
    with ControlPlane(find_programs(), audit) as plane, installed(plane.cluster) as installation:
        yield plane, access_to(installation, folder)


def access_to(installation: Installation, folder: Path) -> ClusterAccess:
    """The plain values that workers need."""
    cluster = installation.cluster
    token = cluster.kubectl("create", "token", demo_access.ACCOUNT, "-n", demo_access.NAMESPACE, "--duration=12h")
    return ClusterAccess(cluster.url, cluster.server.ca, installation.administrator, token.strip(), installation.uid,
                         folder)
