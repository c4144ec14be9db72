"""What a benchmark runs on: a control plane with an audit log, the simulator, and the process that is measured."""

from __future__ import annotations

import json
import shutil
import signal
import sysconfig
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from benchmarks.audit_log import AuditLog, policy

from agentex_dev import demo_access
from agentex_dev.controlplane import ControlPlane
from agentex_dev.demo_stage import LISTENING, environment
from agentex_dev.flags import Audit
from agentex_dev.parts import Part
from agentex_dev.programs import find_programs
from agentex_simulator.client import SimulatorClient
from agentex_testkit.api_server import ApiServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

USER = f"system:serviceaccount:{demo_access.NAMESPACE}:{demo_access.ACCOUNT}"
SCRIPTS = Path(sysconfig.get_path("scripts"))
STOP = 40.0  # seconds that a process may take to end after SIGTERM


class RemoteCall(NamedTuple):
    """A call that reached the simulator."""

    method: str
    template: str
    path: str


class RemoteHistory:
    """The calls that reached the simulator, and when builds succeeded there; `read` fetches what is new."""

    def __init__(self, simulator: SimulatorClient) -> None:
        self.calls: list[RemoteCall] = []
        self.succeeded: dict[str, str] = {}  # build id -> time, as the simulator stamps it
        self._simulator = simulator
        self._seen = 0

    def read(self) -> int:
        """Fetch what is new; returns the number of calls so far."""
        self.calls += [RemoteCall(one["method"], one["template"], one["path"])
                       for one in self._simulator.calls(len(self.calls))]
        new = self._simulator.ledger(self._seen)
        self._seen += len(new)
        for one in new:
            if one["kind"] == "build" and one["status"] == "success":
                self.succeeded.setdefault(one["id"], one["time"])
        return len(self.calls)


class MeasuredProcess:
    """The process that is measured: it can be stopped and started again. Figures are those of the present process."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, readyz: str | None) -> None:
        self._part = Part(name, command, folder / f"{name}.log")
        self._folder = folder
        self._readyz = readyz
        self._http = httpx.Client(trust_env=False, timeout=5)

    def start(self) -> None:
        """Start the process."""
        self._part.start(environment=environment(), folder=self._folder)
        until(self._children, 10, every=0.01)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._part.end(signal.SIGTERM, grace=STOP)

    def close(self) -> None:
        """Stop it, and close the connections to it."""
        self.stop()
        self._http.close()

    def require_life(self) -> None:
        """Raise what the process said last if it has ended by itself."""
        if not self._part.running:
            raise self._part.failure()

    def is_ready(self) -> bool:
        """Whether /readyz answers 200; True at once for a process without /readyz."""
        if self._readyz is None:
            return True
        try:
            return self._http.get(self._readyz).is_success
        except httpx.HTTPError:  # not listening yet
            return False

    def cpu_seconds(self) -> float:
        """The CPU time that the process has used, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def memory(self) -> dict[str, int]:
        """VmHWM (the peak) and VmRSS in MB (10**6 bytes)."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return {name: int(lines[name].split()[0]) * 1024 // 10**6 for name in ("VmHWM", "VmRSS")}

    @property
    def pid(self) -> int:
        """The process itself, below its leash."""
        return int(self._children()[0])

    def _children(self) -> list[str]:
        leash = self._part.pgid
        return Path(f"/proc/{leash}/task/{leash}/children").read_text().split()


@dataclass
class Rig:
    """What was started, and where its records are."""

    plane: ControlPlane
    api: ApiServer
    simulator: SimulatorClient
    remote: RemoteHistory
    audit: AuditLog
    folder: Path


@contextmanager
def rig(time_scale: float) -> Iterator[Rig]:
    """Control plane with an audit log, and simulator, each a process; nothing is left of them."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="agentex-load-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        audit = audit_to(folder, policy(USER))
        plane = ControlPlane(find_programs(), audit=audit)
        stack.callback(plane.stop)
        plane.start()
        demo_access.install(plane)
        simulator = run(folder, "agentex-simulator", "--port=0", f"--sim-time-scale={time_scale}")
        stack.callback(simulator.end, grace=10)
        api = ApiServer(plane.url, plane.ca_path.read_bytes(), plane.admin_token)
        stack.callback(api.close)
        log = AuditLog(audit.log)
        stack.callback(log.close)
        client = SimulatorClient(address_of(simulator))
        yield Rig(plane, api, client, RemoteHistory(client), log, folder)


def audit_to(folder: Path, rules: dict[str, Any]) -> Audit:
    """Where the API server finds this audit policy and writes its log, in the folder."""
    audit = Audit(folder / "policy.json", folder / "audit.log")
    audit.policy.write_text(json.dumps(rules))
    return audit


def run(folder: Path, name: str, *flags: str) -> Part:
    """Start an installed program; its log is in the folder."""
    part = Part(name, [str(SCRIPTS / name), *flags], folder / f"{name}.log")
    part.start(environment=environment(), folder=folder)
    return part


def address_of(simulator: Part) -> str:
    """The address that the simulator prints first; waits for it."""
    until(lambda: simulator.log.read_text().startswith(LISTENING) and "\n" in simulator.log.read_text(), 30)
    return simulator.log.read_text().splitlines()[0].removeprefix(LISTENING)


def until(look: Callable[[], Any], seconds: float, every: float = 0.2) -> Any:
    """The first true answer of `look`. Raises TimeoutError without one."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(every)
    return seen
