"""The embedded control plane keeps its promises: real TLS and RBAC, data that survives restarts, nothing left."""

from __future__ import annotations

import json
import os
import shlex
import signal
import ssl
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from agentex_dev.controlplane import ControlPlane
from agentex_dev.errors import DevError
from agentex_dev.flags import Audit
from agentex_dev.programs import Programs
from agentex_testkit.clusters import ClusterUnderTest

WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.controlplane.test}
spec:
  group: controlplane.test
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            status:
              type: object
              default: {observedGeneration: -1}
              properties: {observedGeneration: {type: integer}}
"""
WIDGET = "{apiVersion: controlplane.test/v1, kind: Widget, metadata: {name: one}}"


@pytest.fixture(scope="module")
def plane(programs: Programs) -> Iterator[ControlPlane]:
    """A control plane of this module's own: its tests restart parts of it."""
    with ControlPlane(programs) as plane:
        yield plane


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def test_it_is_ready_and_says_its_version(plane: ControlPlane) -> None:
    assert plane.get("/readyz").text == "ok"
    assert plane.get("/version").json()["gitVersion"].startswith("v1.")


def test_the_certificate_is_verified(plane: ControlPlane, programs: Programs) -> None:
    with ControlPlane(programs) as stranger:
        wrong = ssl.create_default_context(cafile=str(stranger.ca_path))

        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{plane.url}/readyz", verify=wrong, trust_env=False)

        assert plane.get("/readyz").is_success, "two control planes run side by side"


def test_every_secret_file_is_its_owners_only_and_no_secret_is_in_a_command_line(plane: ControlPlane) -> None:
    secret = [path for path in plane.folder.iterdir() if path.suffix in (".kubeconfig", ".csv", ".key")]

    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert not any(plane.admin_token in " ".join(part.command) for part in (plane.etcd, plane.apiserver))
    assert "insecure" not in plane.admin_kubeconfig.read_text()


def test_a_service_account_may_nothing_until_it_is_allowed(cluster: ClusterUnderTest, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    nobody = ClusterUnderTest(cluster.service_account_kubeconfig(namespace, "nobody"), cluster.workspace)

    before = nobody.kubectl("get", "configmaps", check=False)
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps", "-n", namespace)
    cluster.kubectl(
        "create", "rolebinding", "r", "--role=reader", f"--serviceaccount={namespace}:nobody", "-n", namespace
    )

    assert "Forbidden" in before
    assert f"system:serviceaccount:{namespace}:nobody" in before
    assert "Forbidden" not in nobody.kubectl("get", "configmaps")


def test_a_namespace_with_something_in_it_goes_away(cluster: ClusterUnderTest) -> None:
    cluster.kubectl("create", "namespace", "goes-away")
    cluster.kubectl("create", "configmap", "inside", "-n", "goes-away")

    cluster.kubectl("delete", "namespace", "goes-away", "--timeout=60s")

    assert "NotFound" in cluster.kubectl("get", "namespace", "goes-away", check=False)


def test_a_new_object_shows_the_default_of_its_status(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", "-", input=WIDGETS)
    plane.kubectl("wait", "--for=condition=Established", "crd/widgets.controlplane.test", "--timeout=30s")

    plane.kubectl("apply", "-f", "-", input=WIDGET)

    assert plane.kubectl("get", "widget", "one", "-o", "jsonpath={.status.observedGeneration}") == "-1"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("part", ["apiserver", "etcd"])
def test_a_restart_keeps_the_data_and_the_address(plane: ControlPlane, part: str, how: signal.Signals) -> None:
    name = f"{part}-{how.name.lower()}"
    url = plane.url
    plane.kubectl("create", "configmap", name)

    getattr(plane, f"restart_{part}")(how)

    assert plane.kubectl("get", "configmap", name, "-o", "name").strip() == f"configmap/{name}"
    assert plane.url == url


def test_while_the_api_server_is_halted_nobody_answers(plane: ControlPlane) -> None:
    plane.halt_apiserver(signal.SIGKILL)
    try:
        with pytest.raises(httpx.ConnectError):
            plane.get("/readyz")
    finally:
        plane.resume_apiserver()

    assert plane.is_ready()


def test_the_audit_log_tells_who_did_what(programs: Programs, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]")

    with ControlPlane(programs, Audit(policy, tmp_path / "audit.log")) as plane:
        plane.kubectl("create", "configmap", "seen")

    entries = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert any(e["verb"] == "create" and e.get("objectRef", {}).get("name") == "seen" for e in entries)


def test_after_stopping_neither_process_nor_file_is_left(programs: Programs) -> None:
    with ControlPlane(programs) as plane:
        groups, folder = plane.process_groups, plane.folder
        running = [alive(group) for group in groups]

    assert running == [True] * len(groups)
    assert not any(alive(group) for group in groups)
    assert not folder.exists()


def test_a_part_that_fails_is_quoted_and_nothing_is_left(programs: Programs, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("this is no policy")
    plane = ControlPlane(programs, Audit(policy, tmp_path / "audit.log"))

    with pytest.raises(DevError, match=r"kube-apiserver ended with status 1(.|\n)*policy.yaml"):
        plane.start()

    assert not plane.folder.exists()


def test_assets_without_controllers_serve_too(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, command in (("etcd", programs.etcd), ("kube-apiserver", programs.apiserver)):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    with ControlPlane() as plane:
        assert plane.etcd.command[0] == str(tmp_path / "etcd")
        assert plane.controller_manager is None
        assert "namespace/default" in plane.kubectl("get", "namespaces", "-o", "name")


LAUNCHER = """
    import json, time
    from agentex_dev.controlplane import ControlPlane

    plane = ControlPlane()
    plane.start()
    print(json.dumps([plane.process_groups, str(plane.folder)]), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_the_launcher_dies_suddenly_nothing_is_left(programs: Programs, how: signal.Signals) -> None:
    script = [sys.executable, "-c", textwrap.dedent(LAUNCHER)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as launcher:
        assert launcher.stdout is not None
        groups, folder = json.loads(launcher.stdout.readline())
        running = [alive(group) for group in groups]
        launcher.send_signal(how)

    assert running == [True] * len(groups)
    assert eventually(lambda: not any(alive(group) for group in groups))
    assert eventually(lambda: not Path(folder).exists())


def test_ctrl_c_ends_the_command_cleanly(programs: Programs) -> None:
    command = [sys.executable, "-m", "agentex_dev.cli", "controlplane"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        kubeconfig = next(line.split("=")[1].strip() for line in running.stdout if "KUBECONFIG=" in line)
        was_there = Path(kubeconfig).exists()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)

    assert was_there
    assert running.returncode == 0
    assert not Path(kubeconfig).parent.exists()
