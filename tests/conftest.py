"""Real parts for tests: a cluster, a namespace in it, Helm, kstatus. What is missing is an error, never a skip."""

from __future__ import annotations

import gc
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from agentex_dev import gobuild
from agentex_dev.programs import Programs
from agentex_testkit import clusters, samples
from agentex_testkit.clusters import ClusterUnderTest, Once

PROGRAMS = pytest.StashKey[Once[Programs]]()
HELM = pytest.StashKey[Once[Path]]()
KSTATUS = pytest.StashKey[Once[Path]]()
MOST_PROCESSES = 4  # more gain little: the longest file, the gate of the fault programme, has processes of its own
MARKED_BY_FIXTURE = {
    "programs": ("needs_cluster", "needs_control_plane"), "cluster": ("needs_cluster",), "helm": ("needs_helm",),
    "kstatus": ("needs_kstatus",),
}

samples.register_profile()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("agentex", "the cluster that tests run on")
    group.addoption(
        "--cluster",
        choices=clusters.CHOICES,
        default="auto",
        help="auto: assets of KUBEBUILDER_ASSETS or TEST_ASSET_*, else embedded; embedded: built from tools/; "
        "existing: the current context, if it is kind-*, k3d-* or minikube; kind: a kind cluster of our own",
    )
    group.addoption(
        "--allow-context", metavar="NAME", help="let --cluster=existing use this context, whatever its name"
    )
    group.addoption("--keep-cluster", action="store_true", help="leave the kind cluster behind")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many test processes `-n auto` starts: each has a control plane of its own; a cluster is not shared."""
    own = clusters.is_ours_to_run(config.getoption("--cluster"))
    return min(os.cpu_count() or 1, MOST_PROCESSES) if own else 1


def pytest_configure(config: pytest.Config) -> None:
    choice = config.getoption("--cluster")
    config.stash[PROGRAMS] = Once(lambda: clusters.programs_for(choice))
    config.stash[HELM] = Once(lambda: gobuild.built(gobuild.HELM))
    config.stash[KSTATUS] = Once(lambda: gobuild.built(gobuild.KSTATUS))


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in MARKED_BY_FIXTURE.keys() & getattr(item, "fixturenames", ()):
            for mark in MARKED_BY_FIXTURE[fixture]:
                item.add_marker(mark)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the chosen tests need now: visibly, and outside of any test's time limit."""
    if session.config.option.collectonly:
        return
    gc.freeze()  # the modules and tests of this run stay; the collections during the tests need not look at them
    with _nothing_captured(session.config):
        if _any(session, "needs_cluster") and clusters.is_ours_to_run(session.config.getoption("--cluster")):
            session.config.stash[PROGRAMS].prepare()
        if _any(session, "needs_helm"):
            session.config.stash[HELM].prepare()
        if _any(session, "needs_kstatus"):
            session.config.stash[KSTATUS].prepare()


def _any(session: pytest.Session, mark: str) -> bool:
    return any(item.get_closest_marker(mark) for item in session.items)


def _nothing_captured(config: pytest.Config) -> AbstractContextManager[None]:
    capture = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else nullcontext()


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Programs:
    """What to start a control plane of one's own with."""
    return request.config.stash[PROGRAMS].get()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterUnderTest]:
    """The cluster of this session, shared: work in a namespace of your own."""
    config = request.config
    choice, allowed, keep = (config.getoption(name) for name in ("--cluster", "--allow-context", "--keep-cluster"))
    with clusters.opened(choice, allowed, keep, config.stash[PROGRAMS]) as opened:
        yield opened


@pytest.fixture
def namespace(cluster: ClusterUnderTest, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for this test alone, deleted afterwards without waiting."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{readable}-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def helm(request: pytest.FixtureRequest) -> Path:
    """The real Helm, built from tools/helm."""
    return request.config.stash[HELM].get()


@pytest.fixture(scope="session")
def kstatus(request: pytest.FixtureRequest) -> Path:
    """The real kstatus, built from tools/kstatus."""
    return request.config.stash[KSTATUS].get()
