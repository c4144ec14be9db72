"""The two implementations that are measured: the operator, and a naive per-resource poller."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig import SCRIPTS, MeasuredProcess, Rig
from benchmarks.workload import NAMESPACE

from agentex_dev import demo_access
from agentex_testkit.operator_process import reserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.audit_log import AuditedRequest
    from benchmarks.rig import RemoteCall

OPERATOR, NAIVE = "operator", "naive poller"
NAIVE_PROGRAM = Path(__file__).with_name("naive_poller.py")
ITEM = "/v5/builds/{build_id}"


@dataclass(frozen=True)
class Start:
    """What happened since a process was started anew.

    `changed`: by name, the generation of those AgentBuilds whose spec was changed while the process did not run.
    """

    size: int
    changed: Mapping[str, int]
    audited: Sequence[AuditedRequest]
    remote: Sequence[RemoteCall]


@dataclass(frozen=True)
class Implementation:
    """How the process is started, and how a benchmark sees that every resource had its first pass after a restart."""

    name: str
    command: Callable[[Rig, int], list[str]]
    readyz: bool
    has_passed: Callable[[Start], bool]

    @contextmanager
    def running(self, rig: Rig) -> Iterator[MeasuredProcess]:
        """The process, started."""
        with reserved() as holder:
            port = int(holder.getsockname()[1])
            readyz = f"http://127.0.0.1:{port}/readyz" if self.readyz else None
            process = MeasuredProcess(self.name.replace(" ", "-"), self.command(rig, port), rig.folder, readyz)
            try:
                process.start()
                yield process
            finally:
                process.close()


def operator_command(rig: Rig, port: int) -> list[str]:
    """As in production, except for what a simulator on the loopback needs."""
    return [str(SCRIPTS / "agentex-operator"), "run", *operator_flags(rig.folder),
            f"--kubeconfig={demo_access.kubeconfig(rig.plane)}", f"--health-port={port}"]


def operator_flags(folder: Path) -> tuple[str, ...]:
    """The flags that do not depend on the cluster."""
    return (f"--namespace={demo_access.NAMESPACE}", f"--work-dir={folder / 'work'}", "--allow-http-endpoints",
            "--allowed-endpoints=127.0.0.1:*", "--health-host=127.0.0.1")


def naive_command(rig: Rig, _port: int) -> list[str]:
    """The naive poller with its defaults."""
    return [sys.executable, str(NAIVE_PROGRAM), f"--kubeconfig={demo_access.kubeconfig(rig.plane)}",
            f"--namespace={NAMESPACE}"]


def every_change_was_observed(start: Start) -> bool:
    """Whether the status of each AgentBuild that was changed has its new generation."""
    observed = {(one.name, one.generation) for one in start.audited if one.code < 300}
    return observed >= set(start.changed.items())


def every_build_was_read(start: Start) -> bool:
    """Whether every build was read once."""
    return len({one.path for one in start.remote if (one.method, one.template) == ("GET", ITEM)}) >= start.size


IMPLEMENTATIONS = {one.name: one for one in (
    Implementation(OPERATOR, operator_command, readyz=True, has_passed=every_change_was_observed),
    Implementation(NAIVE, naive_command, readyz=False, has_passed=every_build_was_read),
)}
