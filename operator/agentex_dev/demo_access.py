"""What the demo installs before the operator starts: CRDs, and a service account with the chart's rights only."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import yaml

from agentex_dev.demo_rows import PATHS
from agentex_dev.demo_samples import ROOT
from agentex_dev.errors import DevError

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_dev.controlplane import ControlPlane

CRDS = ROOT / "crds"
RULES = ROOT / "deploy" / "helm" / "agentex-operator" / "files" / "cluster-role-rules.yaml"
NAMESPACE = "agentex-system"
ACCOUNT = "agentex-operator"
SERVICE_START = 30.0
RBAC = "rbac.authorization.k8s.io"


def install(plane: ControlPlane) -> None:
    """Install all of it, and return when the new kinds are served."""
    objects = {"apiVersion": "v1", "kind": "List", "items": service_account()}
    plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(objects))
    plane.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
    _await_service(plane)


def kubeconfig(plane: ControlPlane) -> Path:
    """Give the operator's kubeconfig: its service account and nothing more."""
    return plane.kubeconfig_for_service_account(NAMESPACE, ACCOUNT)


def service_account() -> list[dict[str, Any]]:
    """Give the operator's namespace and account, and the rules that the chart gives it."""
    rules = yaml.safe_load(RULES.read_text())
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": ACCOUNT}
    return [
        _named("v1", "Namespace", NAMESPACE),
        _named("v1", "ServiceAccount", ACCOUNT, namespace=NAMESPACE),
        {**_named(f"{RBAC}/v1", "ClusterRole", ACCOUNT), "rules": rules},
        {**_named(f"{RBAC}/v1", "ClusterRoleBinding", ACCOUNT), "roleRef": role, "subjects": [subject]},
    ]


def _await_service(plane: ControlPlane) -> None:
    # For a second or two after Established, lists answer 429 "storage is (re)initializing".
    deadline = time.monotonic() + SERVICE_START
    while not all(plane.get(path).is_success for path in PATHS):
        if time.monotonic() > deadline:
            raise DevError(f"The API server did not serve {', '.join(PATHS)} within {SERVICE_START:.0f} s.")
        time.sleep(0.1)


def _named(version: str, kind: str, name: str, **further: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **further}}
