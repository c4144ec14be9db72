"""A part: one real program running on a leash, in a process group of its own, with a log to quote when it fails."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agentex_dev.errors import DevError, tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEASH = Path(__file__).with_name("leash.py")
GRACE = 20.0


class Part:
    """One program that can be started, signalled and started again; it never outlives this Python process."""

    def __init__(self, name: str, command: Sequence[str], log: Path, remove_at_sudden_end: Path | None = None) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._folder = str(remove_at_sudden_end or "-")
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def pgid(self) -> int:
        """Give the process group that everything of this part is in."""
        if self._leash is None:
            raise DevError(f"{self.name} was never started")
        return self._leash.pid

    @property
    def status(self) -> int | None:
        """Give the exit status, or None while the program runs."""
        return self._leash.poll() if self._leash else None

    @property
    def running(self) -> bool:
        """Tell whether the program was started and has not ended."""
        return self._leash is not None and self.status is None

    def start(self, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        """Start the program, appending to its log."""
        leashed = [sys.executable, "-I", "-S", str(LEASH), self._folder, *self.command]
        with self.log.open("ab") as log:
            self._leash = subprocess.Popen(
                leashed,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                bufsize=0,
                start_new_session=True,
            )

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the program to end and give its exit status."""
        if self._leash is None:
            raise DevError(f"{self.name} was never started")
        status = self._leash.wait(timeout)
        self._let_go(self._leash)
        return status

    def end(self, how: signal.Signals = signal.SIGTERM, grace: float = GRACE) -> None:
        """Send the signal to the whole group; kill what is still there after the grace time."""
        if self._leash is not None:
            self._send(how)
            self._wait_or_kill(grace)

    def failure(self) -> DevError:
        """Describe an unwanted end, or an unwanted life, with the tail of the log."""
        what = "runs but does not answer" if self.running else f"ended with status {self.status}"
        return DevError(f"{self.name} {what}. The end of its log:\n{tail(self.log)}")

    def _wait_or_kill(self, grace: float) -> None:
        try:
            self.wait(grace)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self.wait()

    def _send(self, how: signal.Signals) -> None:
        if self._leash and self._leash.stdin and not self._leash.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._leash.stdin.write(bytes([how]))

    @staticmethod
    def _let_go(leash: subprocess.Popen[bytes]) -> None:
        if leash.stdin:
            leash.stdin.close()
