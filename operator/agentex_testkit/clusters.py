"""Where tests get a cluster from: the embedded control plane, one the developer allows, or a kind of our own."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pytest

from agentex_dev.cluster import Cluster
from agentex_dev.controlplane import ControlPlane
from agentex_dev.errors import DevError
from agentex_dev.kubeconfig import write_secret
from agentex_dev.programs import Programs, built_programs, find_programs, kubectl_program

CHOICES = ("auto", "embedded", "existing", "kind")
MEANT_FOR_TESTS = re.compile(r"^kind-|^k3d-|^minikube$")

T = TypeVar("T")


@dataclass(frozen=True)
class ClusterUnderTest(Cluster):
    """A cluster with the administrator's kubeconfig; `control_plane` is there when we run it ourselves."""

    control_plane: ControlPlane | None = None


class Once(Generic[T]):
    """Asks once; gives the same answer or raises the same error from then on."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._answers: list[T | DevError] = []

    def prepare(self) -> None:
        """Ask now; an error is kept for whoever needs the answer."""
        if not self._answers:
            try:
                self._answers.append(self._ask())
            except DevError as error:
                self._answers.append(error)

    def get(self) -> T:
        """Give the answer or raise the error."""
        self.prepare()
        answer = self._answers[0]
        if isinstance(answer, DevError):
            raise answer
        return answer


def programs_for(choice: str) -> Programs:
    """Take assets of the environment unless the embedded control plane was asked for by name."""
    return built_programs() if choice == "embedded" else find_programs()


def is_ours_to_run(choice: str) -> bool:
    """Whether the tests start the control plane themselves."""
    return choice in ("auto", "embedded")


def opened(
    choice: str, allowed: str | None, keep: bool, programs: Once[Programs]
) -> AbstractContextManager[ClusterUnderTest]:
    """Open the chosen kind of cluster for the length of a session."""
    if choice == "existing":
        return existing(allowed)
    if choice == "kind":
        return kind(keep)
    return embedded(programs, keep)


@contextmanager
def embedded(programs: Once[Programs], keep: bool) -> Iterator[ClusterUnderTest]:
    """Start the embedded control plane, and stop it at the end. Raises UsageError if it is to be kept."""
    if keep:
        raise pytest.UsageError(
            "--keep-cluster is for --cluster=kind: the embedded control plane ends with its process. Run `agentex-dev "
            "controlplane` in another terminal and use --cluster=existing --allow-context=agentex-dev."
        )
    with ControlPlane(programs.get()) as plane:
        yield ClusterUnderTest(plane.admin_kubeconfig, plane.folder, plane)


@contextmanager
def existing(allowed: str | None) -> Iterator[ClusterUnderTest]:
    """Use the current context, from a private copy, so that changing it during the tests changes nothing for them."""
    context = _kubectl("config", "current-context").strip()
    refuse_unless_meant_for_tests(context, allowed)
    with _workspace() as folder:
        copy = _kubectl("config", "view", "--minify", "--flatten", "--raw", f"--context={context}")
        yield ClusterUnderTest(write_secret(folder / "admin.kubeconfig", copy), folder)


def refuse_unless_meant_for_tests(context: str, allowed: str | None) -> None:
    """Stop before a cluster that somebody may need: tests create and delete what they like."""
    if context != allowed and not MEANT_FOR_TESTS.search(context):
        raise DevError(
            f"--cluster=existing refuses the current context {context!r}: it is not kind-*, k3d-* or minikube. "
            f"If tests may create and delete anything there, say --allow-context={context}."
        )


@contextmanager
def kind(keep: bool) -> Iterator[ClusterUnderTest]:
    """Create a kind cluster of our own and delete it, unless it is to be kept."""
    name = f"agentex-test-{secrets.token_hex(3)}"
    with _workspace() as folder:
        kubeconfig = folder / "admin.kubeconfig"
        try:
            _run(kind_create(name, kubeconfig))
            yield ClusterUnderTest(kubeconfig, folder)
        finally:
            if not keep:
                _run(kind_delete(name, kubeconfig))


def kind_create(name: str, kubeconfig: Path) -> list[str]:
    """The command that creates a kind cluster."""
    return ["kind", "create", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}", "--wait=180s"]


def kind_delete(name: str, kubeconfig: Path) -> list[str]:
    """The command that deletes a kind cluster."""
    return ["kind", "delete", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}"]


@contextmanager
def _workspace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="agentex-test-cluster-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kubectl(*args: str) -> str:
    return _run([str(kubectl_program()), *args])


def _run(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        raise DevError(f"There is no {command[0]!r} on PATH.")
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DevError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
