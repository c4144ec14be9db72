"""Kubeconfigs as tools write them: what is read of the user, and what is refused before the first request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentex_operator.core.errors import NotReady
from agentex_operator.kube.access import Access, access_of, load

PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never"}


def access(folder: Path, user: dict[str, Any], server: str = "https://127.0.0.1:9") -> Access:
    content = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
               "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": user}]}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))

    async def read() -> Access:
        return await access_of(await load(path, None))

    return asyncio.run(read())


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(("", "\n", "\r\n", "\n\n", " \n")))
def test_white_space_at_the_end_of_a_token_is_dropped(tmp_path_factory: pytest.TempPathFactory, end: str) -> None:
    folder = tmp_path_factory.mktemp("kubeconfig")
    (folder / "token").write_text(f"canary{end}", newline="")

    users: tuple[dict[str, Any], ...] = ({"tokenFile": "token"}, {"tokenFile": str(folder / "token")},
                                         {"token": f"canary{end}"})
    assert [access(folder, user).authorization for user in users] == ["Bearer canary"] * 3


@pytest.mark.parametrize("user", [
    {}, {"exec": {**PLUGIN, "args": ["-c", "exit 3"]}}, {"exec": {**PLUGIN, "command": "no-such-command"}},
], ids=["no user", "a plugin that fails", "a plugin that is not installed"])
def test_a_user_without_credentials_is_refused_with_the_next_step(tmp_path: Path, user: dict[str, Any]) -> None:
    with pytest.raises(NotReady, match="has no credentials for the API server: name a token"):
        access(tmp_path, user)


def test_a_plugins_token_is_used(tmp_path: Path) -> None:
    said = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"canary"}}'

    assert access(tmp_path, {"exec": {**PLUGIN, "args": ["-c", f"echo '{said}'"]}}).authorization == "Bearer canary"


def test_a_proxy_of_kubectl_on_this_machine_needs_no_credentials(tmp_path: Path) -> None:
    assert access(tmp_path, {}, "http://127.0.0.1:8001").authorization is None
