"""A Kubernetes control plane without containers: etcd, kube-apiserver and kube-controller-manager on loopback ports."""

from __future__ import annotations

import base64
import secrets
import shutil
import signal
import ssl
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from agentex_dev import flags
from agentex_dev.cluster import Cluster
from agentex_dev.errors import DevError
from agentex_dev.flags import Audit, free_ports
from agentex_dev.kubeconfig import Server, write_kubeconfig, write_secret
from agentex_dev.parts import Part
from agentex_dev.programs import Programs, find_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ATTEMPTS = 3
START_TIMEOUT = 120.0
POLL = 0.1
PORT_TAKEN = "address already in use"


class ControlPlane:
    """A control plane of its own data, ports, CA and administrator; stopping leaves neither process nor file."""

    def __init__(
        self, programs: Programs | None = None, audit: Audit | None = None, start_timeout: float = START_TIMEOUT
    ) -> None:
        self._programs = programs
        self._audit = audit
        self._start_timeout = start_timeout
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every part and return when the API server is ready; a failure leaves nothing behind."""
        self._programs = self._programs or find_programs()
        for left in reversed(range(ATTEMPTS)):
            try:
                self._start_once(self._programs)
                break
            except DevError as error:
                self.stop()
                if PORT_TAKEN not in str(error) or not left:
                    raise
            except BaseException:  # Ctrl-C too
                self.stop()
                raise

    def stop(self) -> None:
        """Kill every part and remove the data, which nobody can want: the ports and keys are gone with it."""
        for part in reversed(self._parts):
            part.end(signal.SIGKILL)
        if self._parts:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._parts = []

    def _start_once(self, programs: Programs) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="agentex-controlplane-"))
        self.ports = free_ports()
        self.admin_token = secrets.token_urlsafe(32)
        told = flags.apiserver(self.folder, self.ports, self._audit)
        self.etcd = self._part("etcd", programs.etcd, flags.etcd(self.folder, self.ports))
        self.apiserver = self._part("kube-apiserver", programs.apiserver, told)
        self._write_credentials()
        self.etcd.start()
        self.apiserver.start()
        self._await(self.ca_path.exists)
        self._write_admin_kubeconfig()
        self._await(self.is_ready)
        self._start_controllers(programs)

    def _part(self, name: str, program: Sequence[str], told: Sequence[str]) -> Part:
        part = Part(name, [*program, *told], self.folder / f"{name}.log", remove_at_sudden_end=self.folder)
        self._parts.append(part)
        return part

    def _start_controllers(self, programs: Programs) -> None:
        self.controller_manager = None
        if programs.controller_manager:
            told = flags.controller_manager(self.folder, self.admin_kubeconfig)
            self.controller_manager = self._part("kube-controller-manager", programs.controller_manager, told)
            self.controller_manager.start()
            self._await(self._controllers_work)

    def _await(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._start_timeout
        while not condition():
            if failed := next((part for part in self._parts if not part.running), None):
                raise failed.failure()
            if time.monotonic() > deadline:
                raise self._too_slow()
            time.sleep(POLL)

    def _too_slow(self) -> DevError:
        logs = "\n".join(str(part.failure()) for part in self._parts)
        return DevError(f"The control plane was not ready within {self._start_timeout:.0f} s.\n{logs}")

    # --- parts one by one ---------------------------------------------------------------------------------------

    def halt_apiserver(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the API server only; clients see refused connections until it is resumed."""
        self.apiserver.end(how)

    def resume_apiserver(self) -> None:
        """Start the API server again on the same port and data, and return when it is ready."""
        self._resume(self.apiserver)

    def restart_apiserver(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the API server and start it again on the same port and data."""
        self.halt_apiserver(how)
        self.resume_apiserver()

    def halt_etcd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End etcd only; the API server stays and answers with errors."""
        self.etcd.end(how)

    def resume_etcd(self) -> None:
        """Start etcd again on the same port and data, and return when the API server is ready with it."""
        self._resume(self.etcd)

    def restart_etcd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End etcd and start it again on the same port and data."""
        self.halt_etcd(how)
        self.resume_etcd()

    def _resume(self, part: Part) -> None:
        part.start()
        deadline = time.monotonic() + self._start_timeout
        while not self.is_ready():
            if not part.running and PORT_TAKEN in str(part.failure()) and time.monotonic() < deadline:
                part.start()  # an outgoing connection may hold the port for a moment
            elif not part.running or time.monotonic() > deadline:
                raise part.failure()
            time.sleep(POLL)

    # --- doors --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Give the address of the API server."""
        return f"https://127.0.0.1:{self.ports.apiserver}"

    @property
    def ca_path(self) -> Path:
        """Give the certificate that vouches for the API server: the one it made for itself."""
        return self.folder / "certs" / "apiserver.crt"

    @property
    def admin_kubeconfig(self) -> Path:
        """Give the administrator's kubeconfig, readable by its owner only."""
        return self.folder / "admin.kubeconfig"

    @property
    def process_groups(self) -> tuple[int, ...]:
        """Give the process group of each part, for whoever wants to see that they are gone."""
        return tuple(part.pgid for part in self._parts)

    @property
    def cluster(self) -> Cluster:
        """Give the view that does not care how the cluster came to be."""
        return Cluster(self.admin_kubeconfig, self.folder)

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002 - as subprocess calls it
        """Give what kubectl prints as administrator."""
        return self.cluster.kubectl(*args, input=input, check=check)

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig with a fresh token for a service account that exists; never the administrator's."""
        return self.cluster.service_account_kubeconfig(namespace, name)

    def get(self, path: str) -> httpx.Response:
        """Ask the API server for a path as administrator, over verified TLS."""
        verified = ssl.create_default_context(cafile=str(self.ca_path))
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        return httpx.get(self.url + path, headers=headers, verify=verified, trust_env=False, timeout=5)

    def is_ready(self) -> bool:
        """Tell whether the API server answers and says that everything behind it works."""
        return self._answers("/readyz")

    def _controllers_work(self) -> bool:
        # The first thing the service account controller does in a new cluster.
        return self._answers("/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, path: str) -> bool:
        try:
            return self.get(path).is_success
        except (httpx.HTTPError, ssl.SSLError):  # not there yet, or the certificate is half written
            return False

    # --- credentials --------------------------------------------------------------------------------------------

    def _write_credentials(self) -> None:
        write_secret(self.folder / "tokens.csv", f'{self.admin_token},admin,admin,"system:masters"\n')
        write_secret(self.folder / "sa.key", new_signing_key())

    def _write_admin_kubeconfig(self) -> None:
        write_kubeconfig(
            self.admin_kubeconfig, Server(self.url, self.ca_path.read_bytes()), "agentex-dev", self.admin_token
        )


def new_signing_key() -> str:
    """Make a fresh P-256 key as PEM; any 32 random bytes are one, and the public half follows from them."""
    version, curve = bytes.fromhex("020101"), bytes.fromhex("a00a06082a8648ce3d030107")
    body = version + b"\x04\x20" + secrets.token_bytes(32) + curve
    encoded = base64.b64encode(b"\x30" + bytes([len(body)]) + body).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{encoded}\n-----END EC PRIVATE KEY-----\n"
