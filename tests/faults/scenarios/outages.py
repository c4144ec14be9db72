"""The outages family: the API server or etcd is killed, stopped, or away for a while in the middle of a scenario.

`outages/build-succeeds/apiserver-killed`: at the first create. Each batch has a control plane of its own, so that the
other workers are not disturbed.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from tests.faults.programme.control_plane import plane_with_access
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.reference import Reference

from agentex_dev.controlplane import ControlPlane
from agentex_testkit.api_server import Client
from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.fault_proxy.faults import CallFault

AWAY = 8.0
NOT_YET = (401, 403, 429, 500, 503, 504)  # 403: an API server that has just started does not know its roles yet
PATIENCE = 40.0
SCENARIOS = ("build-succeeds", "build-deleted-running", "preview-edited", "deployment-edited")


def away(halt: Callable[[], None], resume: Callable[[], None]) -> None:
    """Halt it for a while."""
    halt()
    time.sleep(AWAY)
    resume()


OUTAGES: dict[str, Callable[[ControlPlane], None]] = {
    "apiserver-killed": lambda plane: plane.restart_apiserver(signal.SIGKILL),
    "apiserver-restarted": lambda plane: plane.restart_apiserver(),
    "apiserver-away": lambda plane: away(plane.halt_apiserver, plane.resume_apiserver),
    "etcd-killed": lambda plane: plane.restart_etcd(signal.SIGKILL),
    "etcd-away": lambda plane: away(plane.halt_etcd, plane.resume_etcd),
}


class Outages:
    """The outages family: each of these scenarios with each outage."""

    name = "outages"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """One batch, with one control plane, for each scenario; one plan in the gate."""
        chosen = SCENARIOS[:1] if scale.gate else SCENARIOS
        outages = list(OUTAGES)[:1] if scale.gate else OUTAGES
        return [[f"{self.name}/{scenario}/{outage}" for outage in outages]
                for scenario in chosen if scenario in self._found]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run the plans one after the other, on a control plane of their own."""
        with tempfile.TemporaryDirectory(prefix="agentex-outages-") as folder, plane_with_access(Path(folder)) as (
                plane, access), Runner(access, f"outages-{os.getpid()}", client=Patient) as own:
            for plan in plans:
                yield self._played(plan, own, plane)

    def _played(self, plan: str, runner: Runner, plane: ControlPlane) -> Outcome:
        _, scenario, outage = plan.split("/")
        fault = CallFault(self._moment(scenario), "in")
        threads: list[threading.Thread] = []

        def interrupt() -> None:
            threads.append(threading.Thread(target=OUTAGES[outage], args=(plane,), name=outage))
            threads[-1].start()

        with runner.interrupting_with(interrupt):
            findings = reference.run_with_faults(runner, scenario, self._found[scenario], [fault], late=AWAY)
        for thread in threads:
            thread.join()
        return Outcome(plan, findings, reached=fault.triggered.is_set())

    def _moment(self, scenario: str) -> Call:
        return next(call for call in self._found[scenario].calls if call.creates)


class Patient(Client):
    """A client for the tests that waits until the API server is back."""

    def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """Send the request; repeat it until the API server answers, for everything the tests ask can be repeated."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = super().send(request, **how)
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
            else:
                if answer.status_code not in NOT_YET or time.monotonic() > end:
                    return answer
                answer.close()
            time.sleep(0.3)
