"""Several releases side by side, as docs/sizing.md installs them, by the real Helm."""

from __future__ import annotations

import shlex

import pytest
from tests.chart.conftest import Object, Rendered, Run
from tests.house import documents
from tests.house.tree import ROOT

INSTALL = [shlex.split(one.text) for one in documents.commands(ROOT / "docs" / "sizing.md")
           if one.text.startswith("helm install ")]
CLUSTER_SCOPED = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}


@pytest.fixture(scope="module")
def releases(run_helm: Run) -> list[Rendered]:
    return [rendered(run_helm, words) for words in INSTALL]


def rendered(run_helm: Run, words: list[str]) -> Rendered:
    """What the documented command installs."""
    _, _, release, chart, *options = words
    done = run_helm("template", release, str(ROOT / chart), *options)
    assert done.returncode == 0, done.stderr
    return Rendered(done.stdout)


def names(release: Rendered) -> set[tuple[str, str]]:
    """Kinds and names of the objects of the cluster."""
    return {(one["kind"], one["metadata"]["name"]) for one in release.objects if one["kind"] in CLUSTER_SCOPED}


def watched(container: Object) -> set[str]:
    [flag] = [arg for arg in container["args"] if arg.startswith("--watch-namespaces=")]
    return set(flag.partition("=")[2].split(","))


def test_no_two_releases_install_the_same_object_of_the_cluster(releases: list[Rendered]) -> None:
    of_each = [names(release) for release in releases]

    assert len(of_each) == 2
    assert all(of_each)
    assert of_each[0] & of_each[1] == set()


def test_each_release_serves_namespaces_of_its_own(releases: list[Rendered]) -> None:
    first, second = (watched(release.container) for release in releases)

    assert first == {"team-a", "team-b"}
    assert second == {"team-c"}


def test_only_the_first_release_has_the_crds(releases: list[Rendered]) -> None:
    assert [bool(release.all("CustomResourceDefinition")) for release in releases] == [True, False]
