"""Runs one program and takes it down when whoever holds the other end of our stdin is gone, however it went.

Started as a file of its own (`python -I -S leash.py REMOVE PROGRAM ARGS...`), so it imports nothing of ours.
REMOVE is a folder to delete after such a sudden end, or `-`. A byte on stdin is the number of a signal for the program:
sent this way, it is we who see the program end, and nothing of it is left when we do.

A plain PR_SET_PDEATHSIG would not do: it fires when the *thread* that started the program ends, and is unknown outside
Linux. Here it only backs up the death of this process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


def _die_with_the_leash() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _stay_for_the_program(signum: int, frame: object) -> None:
    """A signal to the group is for the program; the leash only reports how it ends."""


def _send(program: subprocess.Popen[bytes], signum: int) -> None:
    if signum == signal.SIGKILL:
        program.kill()
    else:
        os.killpg(0, signum)  # reaches what the program started itself too, e.g. compilers


def _remove(folder: str) -> None:
    # Three leashes clear the same folder, each after its own program is dead; the last one finds nothing in its way.
    for _ in range(50):
        if folder == "-" or not Path(folder).exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


def _follow_the_holder(program: subprocess.Popen[bytes], folder: str, gone: threading.Event) -> None:
    while order := os.read(0, 1):
        _send(program, order[0])
    gone.set()
    _send(program, signal.SIGTERM)
    _send(program, signal.SIGKILL)
    program.wait()
    _remove(folder)
    os._exit(128 + signal.SIGKILL)


def main(folder: str, command: list[str]) -> int:
    """Run the command to its end and give its exit status as a shell would."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, _stay_for_the_program)
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_the_leash,  # noqa: PLW1509 - this process has no threads yet
    )
    gone = threading.Event()
    holder = threading.Thread(target=_follow_the_holder, args=(program, folder, gone), daemon=True)
    holder.start()
    status = program.wait()
    if gone.is_set():
        holder.join()  # still clears up, and ends this process itself
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
