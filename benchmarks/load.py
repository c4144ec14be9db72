"""Many AgentBuilds applied at once, on a real API server: how long, how many calls, how much memory - and then a minute
in which nothing happens.

    .venv/bin/python benchmarks/load.py --builds 200

Prints one JSON line. Writes to the API server are counted in its audit log (stage ResponseComplete, the operator's
ServiceAccount, answered 2xx); remote calls in the simulator's journal. Exits with 1 when an expectation is not met.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentex_dev import demo_access
from agentex_dev.controlplane import ControlPlane
from agentex_dev.demo_stage import LISTENING, environment
from agentex_dev.flags import Audit
from agentex_dev.parts import Part
from agentex_dev.programs import find_programs
from agentex_simulator.client import SimulatorClient
from agentex_testkit.builders import a_build, a_context, a_secret, an_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMESPACE = "load"
BUILDS = f"/apis/agentex.scale.com/v1alpha1/namespaces/{NAMESPACE}/agentbuilds"
OPERATOR = f"system:serviceaccount:{demo_access.NAMESPACE}:{demo_access.ACCOUNT}"
WRITES = ["create", "update", "patch", "delete"]
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "users": [OPERATOR]}, {"level": "None"}],
}
QUIET = 10.0  # seconds without a write before the idle minute begins


@dataclass
class Rig:
    """What was started, and where its records are."""

    plane: ControlPlane
    simulator: SimulatorClient
    operator: Part
    audit: Path

    def calls(self, since: int = 0) -> Counter[str]:
        """Remote calls by method and template."""
        return Counter(f"{one['method']} {one['template']}" for one in self.simulator.calls(since))

    def requests(self) -> list[dict[str, Any]]:
        """What the operator asked of the API server, as it was audited."""
        return [json.loads(line) for line in self.audit.read_text().splitlines() if line.endswith("}")]

    def writes(self, skip: int = 0) -> Counter[str]:
        """Its writes that succeeded, by verb and resource."""
        done = [one for one in self.requests() if one["verb"] in WRITES and one["responseStatus"]["code"] < 300]
        return Counter(_what(one) for one in done[skip:])

    def refusals(self) -> Counter[str]:
        """Its requests that failed."""
        failed = [one for one in self.requests() if one.get("responseStatus", {}).get("code", 200) >= 400]
        return Counter(f"{one['responseStatus']['code']} {_what(one)}" for one in failed)

    def memory(self) -> dict[str, int]:
        """VmHWM and VmRSS of the operator in MiB."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return {name: int(lines[name].split()[0]) // 1024 for name in ("VmHWM", "VmRSS")}

    def cpu_seconds(self) -> float:
        """What the operator has spent, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    @property
    def pid(self) -> int:
        """The operator's own process, behind its leash."""
        return int(Path(f"/proc/{self.operator.pgid}/task/{self.operator.pgid}/children").read_text().split()[0])


def _what(request: dict[str, Any]) -> str:
    about = request["objectRef"]
    return f"{request['verb']} {'/'.join(filter(None, (about['resource'], about.get('subresource'))))}"


# --- starting -------------------------------------------------------------------------------------------------------


@contextmanager
def rig(time_scale: float) -> Iterator[Rig]:
    """Control plane with an audit log, simulator and operator, each a process; nothing is left of them."""
    folder = Path(tempfile.mkdtemp(prefix="agentex-load-"))
    audit = Audit(folder / "policy.json", folder / "audit.log")
    audit.policy.write_text(json.dumps(POLICY))
    plane = ControlPlane(find_programs(), audit=audit)
    parts: list[Part] = []
    try:
        plane.start()
        demo_access.install(plane)
        parts.append(run(folder, "agentex-simulator", "--port=0", f"--sim-time-scale={time_scale}"))
        parts.append(run(folder, "agentex-operator", "run", *operator_flags(plane, folder)))
        yield Rig(plane, SimulatorClient(address_of(parts[0])), parts[1], audit.log)
    finally:
        for part in reversed(parts):
            part.end(grace=10)
        plane.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path, name: str, *told: str) -> Part:
    part = Part(name, [str(Path(sysconfig.get_path("scripts")) / name), *told], folder / f"{name}.log")
    part.start(environment=environment(), folder=folder)
    return part


def operator_flags(plane: ControlPlane, folder: Path) -> tuple[str, ...]:
    """As in production, but for what a loopback simulator needs."""
    return (f"--kubeconfig={demo_access.kubeconfig(plane)}", f"--namespace={demo_access.NAMESPACE}",
            f"--work-dir={folder / 'work'}", "--allow-http-endpoints", "--allowed-endpoints=127.0.0.1:*",
            "--health-host=127.0.0.1", "--health-port=0")


def address_of(simulator: Part) -> str:
    """The address it says first; waits for it."""
    until(lambda: simulator.log.read_text().startswith(LISTENING) and "\n" in simulator.log.read_text(), 30)
    return simulator.log.read_text().splitlines()[0].removeprefix(LISTENING)


def until(look: Callable[[], Any], seconds: float, every: float = 0.2) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(every)
    return seen


# --- the load -------------------------------------------------------------------------------------------------------


def prepare(one: Rig, rate: int) -> None:
    """A namespace with an account that is Ready."""
    one.plane.kubectl("create", "namespace", NAMESPACE)
    account = an_account(one.simulator.address, pollInterval="5s", limits={"requestsPerSecond": rate})
    apply(one, [a_secret(), account])
    one.plane.kubectl("wait", "--for=condition=Ready", "aga/default", f"--namespace={NAMESPACE}", "--timeout=60s")


def apply(one: Rig, objects: list[dict[str, Any]]) -> None:
    """As one `kubectl apply`."""
    told = ("apply", "--server-side", f"--namespace={NAMESPACE}", "-f", "-")
    one.plane.kubectl(*told, input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def load(builds: int, agents: int) -> list[dict[str, Any]]:
    """So many builds of so many agents; those of one agent share a context."""
    names = [f"agent-{number % agents}" for number in range(builds)]
    return [
        {**a_build(name), "metadata": {"name": f"build-{number}"}} for number, name in enumerate(names)
    ]


def await_ready(one: Rig, builds: int, seconds: float) -> None:
    def all_ready() -> bool:
        items = one.plane.get(BUILDS).raise_for_status().json()["items"]
        return sum(map(is_ready, items)) == builds

    until(all_ready, seconds, every=1)


def is_ready(obj: dict[str, Any]) -> bool:
    said = obj.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in said)


def await_quiet(one: Rig) -> float:
    """Wait until nothing was written for a while; the seconds that took, the quiet ones not counted."""
    began = last = time.monotonic()
    seen = one.writes().total()
    while time.monotonic() - last < QUIET:
        time.sleep(0.5)
        if (now := one.writes().total()) != seen:
            seen, last = now, time.monotonic()
    return last - began


def measure(one: Rig, told: argparse.Namespace) -> dict[str, Any]:
    """Apply, wait, count; then look on while nothing happens."""
    prepare(one, told.rate)
    apply(one, [a_context(f"agent-{number}") for number in range(told.agents)])
    calls_before, writes_before = len(one.simulator.calls()), one.writes().total()
    wishes, began = load(told.builds, told.agents), time.monotonic()
    apply(one, wishes)
    applied = time.monotonic() - began
    await_ready(one, told.builds, told.patience)
    seconds = time.monotonic() - began
    busy = {"remote_calls": one.calls(calls_before), "api_server_writes": one.writes(writes_before)}
    cpu = one.cpu_seconds()
    settling = await_quiet(one)
    return {"builds": told.builds, "agents": told.agents, "seconds_to_apply": round(applied, 1),
            "seconds_to_all_ready": round(seconds, 1), **busy, "cpu_seconds": cpu, "memory_mib": one.memory(),
            "seconds_to_the_last_write_after_that": round(settling, 1), "idle": idle(one, told.idle),
            "memory_mib_after_idle": one.memory(), "api_server_refusals": one.refusals()}


def idle(one: Rig, seconds: float) -> dict[str, Any]:
    """What is called and written while nothing happens."""
    calls, writes, cpu = len(one.simulator.calls()), one.writes().total(), one.cpu_seconds()
    time.sleep(seconds)
    return {"seconds": seconds, "remote_calls": one.calls(calls), "api_server_writes": one.writes(writes),
            "cpu_seconds": round(one.cpu_seconds() - cpu, 1)}


def complaints(found: dict[str, Any]) -> list[str]:
    """Where the figures are worse than what is promised."""
    calls, at_rest = found["remote_calls"], found["idle"]
    lists = calls["GET /v5/builds"]
    bounds = {
        "more than one create per build": calls["POST /v5/builds"] > found["builds"],
        "a GET per build": calls["GET /v5/builds/{build_id}"] > 0,
        "lists that grow with the builds": lists > 2 * found["seconds_to_all_ready"] + 2 * found["agents"],
        "writes while nothing happens": at_rest["api_server_writes"].total() > 0,
        "remote writes while nothing happens": any(not one.startswith("GET") for one in at_rest["remote_calls"]),
    }
    return [name for name, holds in bounds.items() if holds]


def parsed() -> argparse.Namespace:
    wishes = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wishes.add_argument("--builds", type=int, default=200)
    wishes.add_argument("--agents", type=int, help="how many agents they are of; by default each is of its own")
    wishes.add_argument("--rate", type=int, default=20, help="requestsPerSecond of the account")
    wishes.add_argument("--idle", type=float, default=60, help="seconds to look on at the end")
    wishes.add_argument("--time-scale", type=float, default=20, help="how much faster than real the remote builds are")
    wishes.add_argument("--patience", type=float, default=600)
    told = wishes.parse_args()
    told.agents = told.agents or told.builds
    return told


def main() -> int:
    told = parsed()
    with rig(told.time_scale) as one:
        found = measure(one, told)
    wrong = complaints(found)
    print(json.dumps({**found, "complaints": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
