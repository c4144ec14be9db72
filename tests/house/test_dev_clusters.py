"""Tests never touch a cluster that nobody offered."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house.tree import ROOT

from agentex_dev import gobuild
from agentex_dev.errors import DevError
from agentex_testkit.clusters import ClusterUnderTest, kind_create, kind_delete, refuse_unless_meant_for_tests

pytestmark = pytest.mark.exhaustive  # most of it starts a pytest of its own
PRODUCTION = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: production, context: {cluster: c, user: u}}]
current-context: production
"""
ONE_TEST = "tests/cluster/test_controlplane.py::test_a_namespace_with_something_in_it_goes_away"
# One of each: needs a cluster, a control plane of its own, Helm, nothing.
OF_EACH = ("tests/kube/test_events.py", "tests/cluster/test_controlplane.py", "tests/chart/test_chart.py",
           "tests/house/test_dev_gobuild.py")


def pytest_says(*options: str, tests: tuple[str, ...] = (ONE_TEST,), **environment: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *tests]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True,
                          check=False)
    return f"{done.stdout}{done.stderr}exit status {done.returncode}"


@pytest.mark.parametrize("context", ["kind-dev", "k3d-x", "minikube"])
def test_contexts_made_for_tests_are_used(context: str) -> None:
    refuse_unless_meant_for_tests(context, None)


@pytest.mark.parametrize("context", ["production", "minikube-prod", "my-kind-one", "arn:aws:eks:x", ""])
def test_any_other_context_is_refused(context: str) -> None:
    with pytest.raises(DevError, match="refuses the current context"):
        refuse_unless_meant_for_tests(context, None)


def test_a_context_allowed_by_name_is_used_and_no_other() -> None:
    refuse_unless_meant_for_tests("production", "production")

    with pytest.raises(DevError, match="--allow-context=production-2"):
        refuse_unless_meant_for_tests("production-2", "production")


def test_existing_refuses_the_current_context_with_an_error_not_a_skip(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(PRODUCTION)

    said = pytest_says("--cluster=existing", KUBECONFIG=str(kubeconfig))

    assert "refuses the current context 'production'" in said
    assert "1 error" in said
    assert "exit status 1" in said


def test_a_missing_prerequisite_is_an_error_not_a_skip(tmp_path: Path) -> None:
    said = pytest_says("--cluster=embedded", PATH=str(tmp_path))

    assert "1. install Go" in said
    assert "1 error" in said
    assert "exit status 1" in said


def test_without_go_the_tests_run_on_a_cluster_that_is_there(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    context = cluster.kubectl("config", "current-context").strip()
    _, *told = shlex.split(gobuild.WITHOUT_GO)
    nothing_built = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig)}

    said = pytest_says(*told, f"--allow-context={context}", tests=OF_EACH, **nothing_built)

    assert "exit status 0" in said, said
    assert re.search(r"\d+ passed, \d+ deselected", said), said


def test_tests_that_use_a_cluster_are_marked_by_that(tmp_path: Path) -> None:
    said = pytest_says("-m", "not needs_cluster", PATH=str(tmp_path))

    assert "1 deselected" in said


def test_kind_gets_a_cluster_of_its_own_and_never_the_default_kubeconfig() -> None:
    kubeconfig = Path("/private/config")

    assert kind_create("agentex-test-1", kubeconfig)[:4] == ["kind", "create", "cluster", "--name=agentex-test-1"]
    assert all(f"--kubeconfig={kubeconfig}" in make("x", kubeconfig) for make in (kind_create, kind_delete))
