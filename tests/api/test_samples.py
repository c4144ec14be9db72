"""The samples: every one is accepted by the API server, and the agents in them are whole."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path

import pytest
import yaml
from tests.api.conftest import User
from tests.api.objects import Object

from agentex_operator.core.environments import render_environments
from agentex_operator.core.manifest import Manifest

SAMPLES = Path(__file__).parents[2] / "samples"
GITOPS = SAMPLES / "gitops"  # for kustomize: tests/api/test_gitops_samples.py
FILES = sorted(path for path in SAMPLES.rglob("*.yaml") if path.parent != GITOPS)
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SAMPLES)))


def documents(path: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def in_the_demo(kind: str) -> list[Object]:
    return [each for path in sorted(SAMPLES.glob("demo/*.yaml")) for each in documents(path) if each["kind"] == kind]


CONFIG_MAPS = {path.name: each for path in FILES for each in documents(path) if each["kind"] == "ConfigMap"}
EACH_AGENT = pytest.mark.parametrize("config_map", CONFIG_MAPS.values(), ids=CONFIG_MAPS)


def archive(config_map: Object) -> dict[str, str]:
    """The files of the build context in a ConfigMap."""
    packed = base64.b64decode(config_map["binaryData"]["context.tar.gz"])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        members = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: found.read().decode() for name, found in members if found}


@EACH_FILE
def test_the_api_server_accepts_every_sample(user: User, path: Path) -> None:
    for document in documents(path):
        document["metadata"].pop("namespace", None)

        assert "serverside-applied" in user.would_apply(document)


@EACH_FILE
def test_a_sample_begins_with_its_purpose(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")


@EACH_AGENT
def test_the_manifest_of_a_sample_is_valid_and_names_its_agent(config_map: Object) -> None:
    manifest = Manifest.parse(archive(config_map)["manifest.yaml"], config_map["metadata"]["name"])

    assert manifest.include_paths


@EACH_AGENT
def test_the_context_of_a_sample_has_the_files_that_its_manifest_names(config_map: Object) -> None:
    files = archive(config_map)
    manifest = Manifest.parse(files["manifest.yaml"], None)

    assert manifest.dockerfile in files
    assert all(any(name.startswith(f"{path}/") for name in files) for path in manifest.include_paths)


@EACH_AGENT
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_environments_of_a_sample_are_valid(config_map: Object, environment: str) -> None:
    rendered = render_environments(config_map["data"]["environments.yaml"], environment)

    assert list(yaml.safe_load(rendered)["environments"]) == [environment]


def test_the_demo_is_three_agents_two_in_production_and_a_preview_that_ends() -> None:
    previews = [one["spec"].get("preview") for one in in_the_demo("AgentDeployment")]

    assert len({one["spec"]["agentName"] for one in in_the_demo("AgentBuild")}) >= 3
    assert previews.count(None) == 2
    assert [one["ttl"] for one in previews if one] == ["45s"]


def test_the_demo_stays_in_its_namespace() -> None:
    ours = [one for kind in ("AgentBuild", "AgentDeployment", "AgentexAccount") for one in in_the_demo(kind)]

    assert {one["metadata"]["namespace"] for one in ours} == {"agentex-demo"}


def test_the_demos_account_is_the_simulators() -> None:
    [account] = in_the_demo("AgentexAccount")

    assert (account["spec"]["endpoint"], account["spec"]["accountID"]) == ("http://127.0.0.1:8900", "acct-1")
