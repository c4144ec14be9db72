"""What each part of the control plane is told on its command line; no secret is among it, only paths to secrets."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Audit:
    """What the API server writes down about each request, and where; the log outlives the control plane."""

    policy: Path
    log: Path


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one control plane."""

    etcd: int
    etcd_peer: int
    apiserver: int


def free_ports() -> Ports:
    """Pick ports that are free now, all different; whoever binds them must expect to have been overtaken."""
    reservations = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = Ports(*(reservation.getsockname()[1] for reservation in reservations))
    for reservation in reservations:
        reservation.close()
    return ports


def etcd(folder: Path, ports: Ports) -> list[str]:
    """Give etcd its ports and data; without fsync, as envtest does: its data is not meant to survive the machine."""
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(folder: Path, ports: Ports, audit: Audit | None) -> list[str]:
    """Give kube-apiserver its etcd, port, keys and RBAC; it makes its own certificate in `folder`/certs."""
    key = folder / "sa.key"
    return [
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        f"--cert-dir={folder / 'certs'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.apiserver}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={key}",
        f"--service-account-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        "--shutdown-watch-termination-grace-period=1s",  # else it waits a minute on SIGTERM for open watches
        *(_audit(audit) if audit else ()),
    ]


def controller_manager(folder: Path, kubeconfig: Path) -> list[str]:
    """Give kube-controller-manager the three controllers that tests and the demo need, and no port to serve on."""
    return [
        f"--kubeconfig={kubeconfig}",
        "--controllers=namespace-controller,garbage-collector-controller,serviceaccount-controller",
        "--leader-elect=false",
        "--secure-port=0",
        f"--service-account-private-key-file={folder / 'sa.key'}",
    ]


def _audit(audit: Audit) -> list[str]:
    return [f"--audit-policy-file={audit.policy}", f"--audit-log-path={audit.log}"]
