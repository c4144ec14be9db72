"""Valid objects as a user writes them; a test shows only its difference."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from typing import Any

from agentex_testkit.api_server import GROUP, Object

DOCKERFILE = "FROM scratch\nCOPY project /app\nRUN make\n"
FAILING = "FROM scratch\nRUN exit 3\nRUN never\n"
STUCK = f"{DOCKERFILE}# simulate: stuck\n"
KEY = "key-1"  # opens the simulator's first account
ENVIRONMENTS = """\
schema_version: v1
environments:
  dev: {auth: {principal: {user_id: u-1}}, kubernetes: {namespace: team-dev}}
"""


def a_manifest(agent: str = "quote", description: str = "answers") -> str:
    """A manifest.yaml; `description` chooses the simulator's rollout ("simulate: unhealthy", "simulate: stuck")."""
    return (
        "build: {context: {root: ., include_paths: [project], dockerfile: Dockerfile}}\n"
        f"agent:\n  name: {agent}\n  acp_type: sync\n  description: '{description}'\n  credentials: []\n"
    )


def an_archive(files: dict[str, str]) -> bytes:
    """A tar.gz, the same bytes for the same files."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def a_context(name: str = "quote", dockerfile: str = DOCKERFILE, description: str = "answers", **files: str) -> Object:
    """A ConfigMap with the build context of the agent of this name, and its environments.yaml."""
    contents = {"Dockerfile": dockerfile, "manifest.yaml": a_manifest(name, description), "project/acp.py": "print()\n"}
    packed = base64.b64encode(an_archive({**contents, **files})).decode()
    texts = {"environments.yaml": ENVIRONMENTS}
    return _plain("ConfigMap", name, binaryData={"context.tar.gz": packed}, data=texts)


def a_secret(name: str = "agentex", key: str = KEY) -> Object:
    """A Secret with an API key."""
    return _plain("Secret", name, stringData={"api-key": key})


def an_account(endpoint: str, name: str = "default", kind: str = "AgentexAccount", **spec: Any) -> Object:
    """An account at the endpoint, looked at every second."""
    key = {"name": "agentex", "key": "api-key"}
    usual = {"endpoint": endpoint, "accountID": "acct-1", "apiKeySecretRef": key, "pollInterval": "1s"}
    return _ours(kind, name, {**usual, "limits": {"requestsPerSecond": 200}, **spec})


def a_build(name: str = "quote", **spec: Any) -> Object:
    """An AgentBuild of the agent of this name from `a_context(name)`; a member is replaced, or removed by None."""
    source = {"configMapKeyRef": {"name": name, "key": "context.tar.gz"}}
    return _ours("AgentBuild", name, {"agentName": name, "image": {"name": name}, "source": source, **spec})


def an_image(name: str = "quote", **spec: Any) -> Object:
    """An AgentBuild that only registers an existing image: it succeeds at once and needs no context."""
    return a_build(name, source={"image": {"url": f"elsewhere.invalid/{name}:1"}}, **spec)


def a_deployment(name: str = "quote", **spec: Any) -> Object:
    """A production AgentDeployment of `a_build(name)`, with an inline manifest unless wished otherwise."""
    usual = {"buildRef": {"name": name}, "manifest": {"inline": a_manifest(name)}}
    return _ours("AgentDeployment", name, {**usual, "environments": {"inline": ENVIRONMENTS}, **spec})


def from_build(name: str = "quote", **spec: Any) -> Object:
    """An AgentDeployment that takes everything from `a_build(name)` and `a_context(name)`."""
    file = {"configMapKeyRef": {"name": name, "key": "environments.yaml"}}
    return a_deployment(name, **{"manifest": {"fromBuild": True}, "environments": file, **spec})


def a_preview(name: str = "quote", ttl: str = "1h", **spec: Any) -> Object:
    """A preview of `a_build(name)`."""
    return a_deployment(name, **{"preview": {"label": "pr-1", "ttl": ttl}, **spec})


def _ours(kind: str, name: str, spec: dict[str, Any]) -> Object:
    members = {key: value for key, value in spec.items() if value is not None}
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": members}


def _plain(kind: str, name: str, **content: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **content}
