"""What idle AgentBuilds from ConfigMaps cost: watched with the rights of the chart, and polled without the right.

    .venv/bin/python -m benchmarks.idle_references --builds 300 --idle 60 --reference-resync 2s

Two operators run side by side on one API server, each with as many AgentBuilds in a namespace of its own, so that their
figures can be compared within one run. Prints one JSON line: CPU seconds and requests to the API server of each in the
idle time, and the seconds from the change of a ConfigMap to the intent of the new build. Exits with 1 if watching is
not cheaper.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.audit_log import policy
from benchmarks.rig import address_of, audit_to, run, until

from agentex_dev import demo_access
from agentex_dev.controlplane import ControlPlane
from agentex_dev.programs import find_programs
from agentex_testkit.api_server import ready as is_ready
from agentex_testkit.builders import a_build, a_context, a_secret, an_account

if TYPE_CHECKING:

    from agentex_dev.parts import Part

WATCHED, POLLED = "watched", "polled"
LONGEST = 300.0  # seconds until all builds are ready
SETTLED = 20.0   # seconds between the last build and the idle time


@dataclass
class Side:
    """One operator and its namespace, which has the same name as its service account."""

    name: str
    plane: ControlPlane
    audit: Path
    operator: Part

    @property
    def user(self) -> str:
        """The operator, as the audit log names it."""
        return f"system:serviceaccount:{demo_access.NAMESPACE}:{self.name}"

    def cpu_seconds(self) -> float:
        """The CPU time that the operator has used, user and system."""
        children = Path(f"/proc/{self.operator.pgid}/task/{self.operator.pgid}/children").read_text()
        fields = Path(f"/proc/{children.split()[0]}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def requests(self) -> Counter[str]:
        """The requests to the API server by verb and resource."""
        lines = (json.loads(line) for line in self.audit.read_text().splitlines() if line.endswith("}"))
        return Counter(f"{one['verb']} {one['objectRef']['resource']}" for one in lines
                       if one["user"]["username"] == self.user and "objectRef" in one)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply them as one list."""
        told = ("apply", "--server-side", "--force-conflicts", f"--namespace={self.name}", "-f", "-")
        self.plane.kubectl(*told, input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def builds(self) -> list[dict[str, Any]]:
        """The AgentBuilds as they are."""
        path = f"/apis/agentex.scale.com/v1alpha1/namespaces/{self.name}/agentbuilds"
        found: list[dict[str, Any]] = self.plane.get(path).raise_for_status().json()["items"]
        return found


def service_account(name: str) -> list[dict[str, Any]]:
    """A service account with the rights of the chart; without the right to watch ConfigMaps for the polled side."""
    objects = [one for one in demo_access.service_account() if one["kind"] != "Namespace"]
    role = next(one for one in objects if one["kind"] == "ClusterRole")
    if name == POLLED:
        role["rules"] = [one for one in role["rules"] if one["resources"] != ["configmaps"] or one["verbs"] == ["get"]]
    renamed = json.dumps(objects).replace(f'"name": "{demo_access.ACCOUNT}"', f'"name": "{name}"')
    found: list[dict[str, Any]] = json.loads(renamed)
    return found


def opened(plane: ControlPlane, audit: Path, folder: Path, name: str, poll: str) -> Side:
    """Start the operator of one side."""
    plane.kubectl("create", "namespace", name)
    items = {"apiVersion": "v1", "kind": "List", "items": service_account(name)}
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(items))
    kubeconfig = plane.kubeconfig_for_service_account(demo_access.NAMESPACE, name)
    (folder / name).mkdir()
    flags = (f"--kubeconfig={kubeconfig}", f"--namespace={demo_access.NAMESPACE}", f"--watch-namespaces={name}",
             f"--reference-resync={poll}", f"--work-dir={folder / name / 'work'}", "--allow-http-endpoints",
             "--allowed-endpoints=127.0.0.1:*", "--health-host=127.0.0.1", "--health-port=0")
    return Side(name, plane, audit, run(folder / name, "agentex-operator", "run", *flags))


def ready(side: Side, address: str, builds: int) -> None:
    """Have that many AgentBuilds from that many ConfigMaps, all Ready."""
    account = an_account(address, pollInterval="5s", limits={"requestsPerSecond": 200})
    side.apply(a_secret(), account, *(a_context(f"agent-{number}") for number in range(builds)))
    side.apply(*(a_build(f"agent-{number}") for number in range(builds)))
    until(lambda: sum(map(is_ready, side.builds())) == builds, LONGEST, every=1)


def latency(side: Side) -> float:
    """The seconds from the change of a ConfigMap to the intent of the new build."""
    side.apply(a_context("agent-0", **{"project/note.txt": "changed"}))
    began = time.monotonic()
    until(lambda: any(one["metadata"]["name"] == "agent-0" and one["status"]["attempt"] == 2 for one in side.builds()),
          60, every=0.02)
    return round(time.monotonic() - began, 2)


def idle(sides: list[Side], seconds: float) -> dict[str, dict[str, Any]]:
    """CPU seconds and requests of each side while nothing happens."""
    before = {side.name: (side.cpu_seconds(), side.requests()) for side in sides}
    time.sleep(seconds)
    return {side.name: {"cpu_seconds": round(side.cpu_seconds() - before[side.name][0], 2),
                        "requests": side.requests() - before[side.name][1]} for side in sides}


def measured(told: argparse.Namespace) -> dict[str, Any]:
    """Start everything, wait until all builds are ready, and look on."""
    folder = Path(tempfile.mkdtemp(prefix="agentex-idle-"))
    rules = [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]
    audit = audit_to(folder, {**policy(user=""), "rules": rules})
    plane = ControlPlane(find_programs(), audit=audit)
    parts: list[Part] = []
    try:
        plane.start()
        demo_access.install(plane)
        parts.append(run(folder, "agentex-simulator", "--port=0", "--sim-time-scale=60"))
        sides = []
        for name in (WATCHED, POLLED):
            sides.append(opened(plane, audit.log, folder, name, told.reference_resync))
            parts.append(sides[-1].operator)
        return figures(sides, address_of(parts[0]), told)
    finally:
        for part in reversed(parts):
            part.end(grace=10)
        plane.stop()
        shutil.rmtree(folder, ignore_errors=True)


def figures(sides: list[Side], address: str, told: argparse.Namespace) -> dict[str, Any]:
    """The figures of both sides."""
    for side in sides:
        ready(side, address, told.builds)
    time.sleep(SETTLED)
    at_rest = idle(sides, told.idle)
    ratio = at_rest[WATCHED]["cpu_seconds"] / max(at_rest[POLLED]["cpu_seconds"], 0.01)
    return {"builds": told.builds, "idle_seconds": told.idle, "reference_resync": told.reference_resync, **at_rest,
            "cpu_ratio": round(ratio, 3), "seconds_to_the_new_build": {side.name: latency(side) for side in sides}}


def parsed() -> argparse.Namespace:
    """The wishes of the command line."""
    wishes = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wishes.add_argument("--builds", type=int, default=300, help="on each side")
    wishes.add_argument("--idle", type=float, default=60, help="seconds to look on")
    wishes.add_argument("--reference-resync", default="2s", help="of both operators")
    return wishes.parse_args()


def main() -> int:
    """Measure, print, and judge."""
    found = measured(parsed())
    print(json.dumps(found))
    return 0 if found["cpu_ratio"] < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
