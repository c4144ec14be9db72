"""A cluster seen through one kubeconfig: kubectl on it, and kubeconfigs for its service accounts."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from agentex_dev.errors import DevError
from agentex_dev.kubeconfig import Server, write_kubeconfig
from agentex_dev.programs import kubectl_program

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Cluster:
    """An API server, the administrator's kubeconfig for it, and a private folder to write further ones into."""

    kubeconfig: Path
    workspace: Path

    def kubectl(self, *args: str, input: str | None = None, check: bool = True, timeout: float = 120) -> str:  # noqa: A002 - as subprocess calls it
        """Give what kubectl prints as administrator; when failing is allowed, what it complains about follows."""
        done = self._run(args, input, timeout)
        if done.returncode and check:
            raise DevError(f"kubectl {' '.join(args)} ended with status {done.returncode}: {done.stderr.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    @cached_property
    def server(self) -> Server:
        """Say where the API server is and which CA vouches for it, as the kubeconfig has it."""
        config = json.loads(self.kubectl("config", "view", "--minify", "--flatten", "--raw", "--output=json"))
        entry = config["clusters"][0]["cluster"]
        return Server(entry["server"], base64.b64decode(entry.get("certificate-authority-data", "")))

    @property
    def url(self) -> str:
        """Give the address of the API server."""
        return self.server.url

    def service_account_kubeconfig(self, namespace: str, name: str, duration: str = "24h") -> Path:
        """Write a kubeconfig with a fresh token for a service account that exists; that account and nothing more."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration", duration).strip()
        path = self.workspace / f"{namespace}.{name}.kubeconfig"
        return write_kubeconfig(path, self.server, f"{namespace}.{name}", token, namespace)

    def _run(self, args: tuple[str, ...], text: str | None, timeout: float) -> subprocess.CompletedProcess[str]:
        # A cache of our own: kubectl keys discovery by host and port, and ports come around again.
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.workspace / "cache")}
        return subprocess.run(
            [str(kubectl_program()), *args],
            input=text or "",
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
