"""The stage: control plane, simulator and operator as processes, each on its leash, none of which outlives the demo."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agentex_dev import demo_access
from agentex_dev.controlplane import ControlPlane
from agentex_dev.parts import Part
from agentex_dev.programs import find_programs
from agentex_dev.progress import Progress

if TYPE_CHECKING:
    from types import TracebackType

TIME_SCALE = 20  # builds of two minutes take six seconds
LISTENING = "agentex-simulator listening on "
SIMULATOR_START = 30.0
GRACE = 10.0
# Settings meant for something else would change the demo; an administrator's kubeconfig is no part's business.
NOT_FOR_PARTS = ("AGENTEX_OPERATOR_", "SIM_", "KUBECONFIG")


class Stage:
    """All that runs before a sample can be applied; leaving it stops everything and keeps the logs of a failure."""

    def __init__(self) -> None:
        self.plane = ControlPlane(find_programs())
        self.folder = Path(tempfile.mkdtemp(prefix="agentex-demo-"))
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:  # Ctrl-C too
            self._stop(keep_logs=isinstance(error, Exception))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop(keep_logs=isinstance(error, Exception))

    def require_life(self) -> None:
        """Raise what a part said last when it has ended by itself."""
        plane = (self.plane.etcd, self.plane.apiserver, self.plane.controller_manager)
        for part in (*self._parts, *plane):
            if part and not part.running:
                raise part.failure()

    @property
    def endpoint(self) -> str:
        """Give the simulator's address, or nothing while it has not said it."""
        first, ended, _ = self._log_of("agentex-simulator").read_text(errors="replace").partition("\n")
        return first.removeprefix(LISTENING) if ended and first.startswith(LISTENING) else ""

    @property
    def operator_log(self) -> Path:
        """Give the file that the operator's log goes to."""
        return self._log_of("agentex-operator")

    # --- start and stop -----------------------------------------------------------------------------------------

    def _start(self) -> None:
        simulator = self._run("agentex-simulator", "--port=0", f"--sim-time-scale={TIME_SCALE}")
        with Progress("starting the control plane"):
            self.plane.start()
        with Progress("installing the CRDs and the operator's service account"):
            demo_access.install(self.plane)
        with Progress("starting the simulator"):
            self._await_address(simulator)
        self._run("agentex-operator", "run", *operator_flags(demo_access.kubeconfig(self.plane), self.folder))

    def _run(self, name: str, *told: str) -> Part:
        program = Path(sysconfig.get_path("scripts")) / name
        part = Part(name, [str(program), *told], self._log_of(name), remove_at_sudden_end=self.folder)
        self._parts.append(part)
        part.start(environment=environment(), folder=self.folder)
        return part

    def _log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _await_address(self, simulator: Part) -> None:
        deadline = time.monotonic() + SIMULATOR_START
        while not self.endpoint:
            if not simulator.running or time.monotonic() > deadline:
                raise simulator.failure()
            time.sleep(0.1)

    def _stop(self, keep_logs: bool) -> None:
        with Progress("stopping operator, simulator and control plane"):
            for part in reversed(self._parts):
                part.end(grace=GRACE)
            self.plane.stop()
        shutil.rmtree(self.folder / "work" if keep_logs else self.folder, ignore_errors=True)
        if keep_logs:
            print(f"The logs are kept in {self.folder}", file=sys.stderr)


def operator_flags(kubeconfig: Path, folder: Path) -> tuple[str, ...]:
    """Give the operator its own kubeconfig, leave to reach a loopback simulator, and no long waits."""
    return (
        f"--kubeconfig={kubeconfig}",
        f"--namespace={demo_access.NAMESPACE}",
        f"--work-dir={folder / 'work'}",
        "--allow-http-endpoints",
        "--allowed-endpoints=127.0.0.1:*",
        "--health-host=127.0.0.1",
        "--health-port=0",
        "--expiry-grace=5s",
        "--drain-timeout=5s",
        "--log-format=text",
    )


def environment() -> dict[str, str]:
    """Give the parts the environment of this process but for what would change the demo."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_PARTS)}
