"""The operator under test: a real process, as its own ServiceAccount, that can be killed, stopped and started again.

`Operator` is `agentex-operator run` with short times: `.kill()` `.stop()` `.restart()` `.log`. The other parts are
listed in agentex_testkit/__init__.py, the fixtures in tests/cluster/conftest.py.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from agentex_dev.parts import Part

PROGRAM = Path(sysconfig.get_path("scripts")) / "agentex-operator"
DRAIN = 10
RESYNC = timedelta(seconds=5)
SHORT_TIMES = (
    "--settle=2s",
    "--missing-grace=3s",
    "--expiry-grace=2s",
    "--create-longest-life=6s",
    f"--resync={RESYNC.seconds}s",
    "--reference-resync=2s",
    f"--drain-timeout={DRAIN}s",
)
START = 30.0
NOT_FOR_IT = ("AGENTEX_OPERATOR_", "KUBECONFIG")
_numbers = itertools.count(1)


class Operator:
    """One operator for these namespaces; its log continues across restarts."""

    def __init__(self, kubeconfig: Path, namespaces: Sequence[str], folder: Path, flags: Sequence[str] = ()) -> None:
        self._told = (f"--kubeconfig={kubeconfig}", f"--watch-namespaces={','.join(namespaces)}", *SHORT_TIMES, *flags)
        self.folder = folder / f"operator-{next(_numbers)}"
        self.folder.mkdir()
        self._part: Part | None = None
        self._port_holder = reserved()
        self._port = int(self._port_holder.getsockname()[1])

    @property
    def log_path(self) -> Path:
        """The file that the log of every start is appended to."""
        return self.folder / "operator.log"

    @property
    def log(self) -> str:
        """Everything it logged, in all its runs."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._part is not None and self._part.running

    @property
    def url(self) -> str:
        """Where /livez and /readyz are."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and return when /readyz says so."""
        self._await_readiness(self.start_unready())

    def start_unready(self) -> Part:
        """Start it, and do not wait until it is ready."""
        self._part = Part("agentex-operator", self._command(), self.log_path)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_IT)}
        self._part.start(environment=kept, folder=self.folder)
        return self._part

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._part is not None:
            self._part.end(signal.SIGKILL)

    def stop(self) -> int | None:
        """SIGTERM: its exit status, which is None if it had to be killed because it did not end in time."""
        assert self._part is not None
        self._part.end(signal.SIGTERM, grace=DRAIN + 10)
        return self._part.status if self._part.status != -signal.SIGKILL else None

    def restart(self) -> None:
        """Kill it, if it still runs, and start it again."""
        self.kill()
        self.start()

    def end(self) -> None:
        """Kill it, and remove its files."""
        self.kill()
        self._port_holder.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self) -> list[str]:
        mine = ("--allow-http-endpoints", "--allowed-endpoints=127.0.0.1:*", "--health-host=127.0.0.1",
                f"--health-port={self._port}")
        return [str(PROGRAM), "run", *self._told, *mine, f"--work-dir={self.folder / 'work'}"]

    def _await_readiness(self, part: Part) -> None:
        end = time.monotonic() + START
        while not self.is_ready():
            if not part.running or time.monotonic() > end:
                raise part.failure()
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        return self.readiness()[0] == HTTPStatus.OK

    def readiness(self) -> tuple[int, str]:
        """The status and the text of /readyz; (0, "") without an answer.

        Asked often while operators start, so without a TLS context for each question.
        """
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException):
            return 0, ""
        finally:
            connection.close()

    def wait_for_its_end(self, seconds: float) -> int | None:
        """The exit status of an operator that ends by itself; None if it does not end in time."""
        try:
            return self._part.wait(seconds) if self._part else None
        except subprocess.TimeoutExpired:
            return None


def reserved() -> socket.socket:
    """A socket that holds a port of the loopback for an operator in all its runs: bound, so that no other server or
    connection is given the port; and not listened on, so that the operator can have it.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder
