"""The operator of a runner: forked, with short times, and started again whenever it ends by itself."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agentex_testkit.api_server import eventually
from agentex_testkit.operator_process import DRAIN, Operator
from agentex_testkit.prefork import ForkedProcess, PreforkServer

LONGEST_LIFE = 4     # seconds: T_max
MISSING_GRACE = 12   # seconds: a case that ends a 404 when it is reported must be in time on a busy machine
QUICK_FLAGS = (
    "--settle=1s", f"--missing-grace={MISSING_GRACE}s", "--expiry-grace=1s", f"--create-longest-life={LONGEST_LIFE}s",
    "--resync=1s", "--reference-resync=1s", "--reference-grace=1h", f"--drain-timeout={DRAIN}s", "--log-level=debug",
)


class ForkedOperator(Operator):
    """The operator as a child of the prefork server: the same program, started in a tenth of the time."""

    def __init__(self, prefork: PreforkServer, kubeconfig: Path, namespaces: Sequence[str], folder: Path,
                 flags: Sequence[str]) -> None:
        super().__init__(kubeconfig, namespaces, folder, (*QUICK_FLAGS, *flags))
        self._prefork = prefork
        self.part: ForkedProcess | None = None
        self.throws = ""   # the name of the exception that the process throws
        self.more_flags: tuple[str, ...] = ()   # of the plan; the last flag of a name counts

    @property
    def running(self) -> bool:
        return self.part is not None and self.part.running

    def start(self) -> None:
        """Start it, and return when it is ready."""
        self.launch()
        eventually(self.is_ready, seconds=30)

    def launch(self) -> None:
        """Start it, without waiting for it."""
        if self.part is not None:
            self.part.close()
        self.part = ForkedProcess(self._prefork, [*self._command()[1:], *self.more_flags], self.log_path, self.folder,
                                  self.throws)

    def kill(self) -> None:
        if self.part is not None:
            self.part.end(signal.SIGKILL)

    def stop(self) -> int | None:
        """Send SIGTERM: 0 if it ended in time, else None."""
        assert self.part is not None
        return 0 if self.part.end(signal.SIGTERM, DRAIN + 10) else None

    def send_signal(self, how: signal.Signals) -> None:
        """Send a signal, without waiting."""
        if self.part is not None:
            self.part.send(how)


class Supervisor:
    """Starts the operator again whenever it has ended by itself, as a kubelet does."""

    def __init__(self, operator: ForkedOperator) -> None:
        self.operator = operator
        self.deaths = 0
        self._on, self._over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Start it, keep it running from now on, and return when it is ready."""
        with self._lock:
            self.operator.launch()
        self._on.set()
        eventually(self.operator.is_ready, seconds=40)

    def stop(self) -> None:
        """Kill it, and do not start it again."""
        self._on.clear()
        with self._lock:
            self.operator.kill()

    def kill_now(self) -> None:
        """Kill the operator at once; the supervisor starts it again."""
        self.operator.send_signal(signal.SIGKILL)

    def wait_until_running(self) -> None:
        """Return when the process runs."""
        end = time.monotonic() + 40
        while self._on.is_set() and not self.operator.running:
            assert time.monotonic() < end, "the operator was not started again"
            time.sleep(0.05)

    def end(self) -> None:
        """Stop supervising."""
        self._over.set()
        self._thread.join(45)

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            with self._lock:
                if self._on.is_set() and not self.operator.running:
                    self.deaths += 1
                    self.operator.launch()
