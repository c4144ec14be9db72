"""The API server or etcd goes away in the middle of a story: killed, stopped, away for a while; and comes back.

`outages/build-succeeds/apiserver-killed`: at the first create. The family has a control plane of its own, so that
nobody else is disturbed.
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
from tests.faults import learned
from tests.faults.bench import Bench
from tests.faults.calls import Call
from tests.faults.director import Cue
from tests.faults.learned import Learned
from tests.faults.plans import Ended, Scale
from tests.faults.site import plane_with_site

from agentex_dev.controlplane import ControlPlane
from agentex_testkit.api_server import Client

AWAY = 8.0
NOT_YET = (401, 403, 429, 500, 503, 504)  # 403: an API server that has just started does not know its roles yet
PATIENCE = 40.0
STORIES = ("build-succeeds", "build-deleted-running", "preview-edited", "deployment-edited")


def away(halt: Callable[[], None], resume: Callable[[], None]) -> None:
    """Gone for a while."""
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
    """Each story with each outage."""

    name = "outages"

    def __init__(self, found: dict[str, Learned]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """A batch, and a control plane, for each story; one plan in the gate."""
        told = STORIES[:1] if scale.gate else STORIES
        outages = list(OUTAGES)[:1] if scale.gate else OUTAGES
        return [[f"{self.name}/{story}/{outage}" for outage in outages] for story in told if story in self._found]

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterator[Ended]:
        """Play them one after the other, on a control plane of their own."""
        with tempfile.TemporaryDirectory(prefix="agentex-outages-") as folder, plane_with_site(Path(folder)) as (
                plane, site), Bench(site, f"outages-{os.getpid()}", client=Patient) as own:
            for plan in plans:
                yield self._played(plan, own, plane)

    def _played(self, plan: str, bench: Bench, plane: ControlPlane) -> Ended:
        _, story, outage = plan.split("/")
        cue = Cue(self._moment(story), "in")
        threads: list[threading.Thread] = []

        def strike() -> None:
            threads.append(threading.Thread(target=OUTAGES[outage], args=(plane,), name=outage))
            threads[-1].start()

        with bench.struck_by(strike):
            findings = learned.played(bench, story, self._found[story], [cue], late=AWAY)
        for thread in threads:
            thread.join()
        return Ended(plan, findings, reached=cue.struck.is_set())

    def _moment(self, story: str) -> Call:
        return next(call for call in self._found[story].calls if call.creates)


class Patient(Client):
    """The tests' own client, which waits until the API server is there again."""

    def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """Everything the tests ask for can be asked again."""
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
