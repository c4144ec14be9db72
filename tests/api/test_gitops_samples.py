"""The samples for kustomize, built by the real one: another content is another name, wherever the resources name it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.api.conftest import User
from tests.api.test_samples import GITOPS

from agentex_operator.core.environments import render_environments
from agentex_testkit.builders import DOCKERFILE, a_manifest, an_archive
from agentex_testkit.clusters import ClusterUnderTest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the samples, with the archive that the reader is told to make."""
    copy = Path(shutil.copytree(GITOPS, tmp_path / "gitops"))
    write_context(copy, "print(1)\n")
    return copy


def write_context(folder: Path, code: str) -> None:
    files = {"Dockerfile": DOCKERFILE, "manifest.yaml": a_manifest("quote-bot"), "project/acp.py": code}
    (folder / "context.tgz").write_bytes(an_archive(files))


def built(cluster: ClusterUnderTest, folder: Path) -> dict[str, dict[str, Any]]:
    """What kustomize makes of the folder, by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all(cluster.kubectl("kustomize", str(folder)))}


def names(objects: dict[str, dict[str, Any]]) -> set[str]:
    """The name of the ConfigMap, and those that the resources give it."""
    build, deployment = objects["AgentBuild"]["spec"], objects["AgentDeployment"]["spec"]
    return {objects["ConfigMap"]["metadata"]["name"], build["source"]["configMapKeyRef"]["name"],
            deployment["environments"]["configMapKeyRef"]["name"]}


def test_every_reference_follows_the_name_which_follows_the_content(cluster: ClusterUnderTest, folder: Path) -> None:
    [before] = names(built(cluster, folder))
    write_context(folder, "print(2)\n")
    [after] = names(built(cluster, folder))

    assert before != after
    assert before.startswith("quote-bot-")


def test_the_api_server_accepts_what_kustomize_makes(cluster: ClusterUnderTest, user: User, folder: Path) -> None:
    for document in built(cluster, folder).values():
        assert "serverside-applied" in user.would_apply(document)


def test_the_names_of_secrets_are_followed_too(cluster: ClusterUnderTest, folder: Path) -> None:
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({
        "resources": ["all.yaml"], "configurations": ["name-reference.yaml"],
        "secretGenerator": [{"name": name, "literals": ["a=b"]} for name in ("key", "archive", "token")]}))
    group = {"apiVersion": "agentex.scale.com/v1alpha1"}
    objects = [
        {**group, "kind": "AgentexAccount", "metadata": {"name": "a"}, "spec": {"apiKeySecretRef": {"name": "key"}}},
        {**group, "kind": "AgentBuild", "metadata": {"name": "b"},
         "spec": {"source": {"secretKeyRef": {"name": "archive"}}}},
        {**group, "kind": "AgentBuild", "metadata": {"name": "c"},
         "spec": {"source": {"http": {"secretRef": {"name": "token"}}}}},
    ]
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    made = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder))))

    secrets = {one["metadata"]["name"] for one in made if one["kind"] == "Secret"}
    specs = {one["metadata"]["name"]: one["spec"] for one in made if one["kind"] != "Secret"}
    assert {specs["a"]["apiKeySecretRef"]["name"], specs["b"]["source"]["secretKeyRef"]["name"],
            specs["c"]["source"]["http"]["secretRef"]["name"]} == secrets


def test_the_environments_are_valid() -> None:
    rendered = render_environments((GITOPS / "environments.yaml").read_text(), "prod")

    assert list(yaml.safe_load(rendered)["environments"]) == ["prod"]
