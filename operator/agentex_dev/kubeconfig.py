"""Writes kubeconfigs: one server, one verified CA, one token, readable by their owner only."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Server:
    """Where an API server is and how to know that it is the right one."""

    url: str
    ca: bytes

    def as_entry(self) -> dict[str, str]:
        """Give the `cluster` part of a kubeconfig."""
        return {"server": self.url, "certificate-authority-data": base64.b64encode(self.ca).decode()}


def write_secret(path: Path, content: str) -> Path:
    """Write a file that nobody but its owner could ever read, replacing an older one at once."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
        file.write(content)
    return fresh.replace(path)


def write_kubeconfig(path: Path, server: Server, user: str, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig whose only context is `user` at the server."""
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "agentex-dev", "cluster": server.as_entry()}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "agentex-dev", "user": user, "namespace": namespace}}],
        "current-context": user,
    }
    return write_secret(path, yaml.safe_dump(document, sort_keys=False))
