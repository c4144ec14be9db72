"""Start operators in a tenth of a second, by forking a process that has imported everything and done nothing.

A fault programme starts the operator thousands of times, and importing its libraries is nine tenths of each start.
What is forked is the operator's own command line, in a process and a session of its own, that dies like any other.

Run as `python -m agentex_testkit.prefork`: each line of standard input is a request, `{"told": [...], "log": path,
"folder": path, "throws": name}` (agentex_testkit/thrown_exceptions.py; "" for none); the answer on
standard output is the process id. It ends, and all its children with it, when its standard input does.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from agentex_testkit import thrown_exceptions
from agentex_testkit.operator_process import NOT_FOR_IT

PR_SET_PDEATHSIG = 1
IMPORTED_LATE = ("httpcore", "anyio._backends._asyncio", "sniffio")  # by httpx, when the first call is made


# --- in the prefork server ------------------------------------------------------------------------------------------


def serve() -> None:
    """Fork an operator for every request, until there are no more requests."""
    from agentex_operator import bootstrap  # noqa: F401, PLC0415 - imported for the children, who find it there
    from agentex_operator.cli.main import main  # noqa: PLC0415 - as above

    for name in IMPORTED_LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no operator looks through what it inherited for garbage
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not kept: their pid is theirs until they are gone
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_operator(main, request)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _become_operator(main: Any, request: Mapping[str, Any]) -> None:
    """Become what `agentex-operator TOLD` would be; does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    os.setsid()
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    status = 1
    try:
        if request["throws"]:
            thrown_exceptions.install(request["throws"], Path(request["folder"]))
        main(list(request["told"]), prog_name="agentex-operator")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as the interpreter would: it is found by whoever reads the log
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


# --- who requests -----------------------------------------------------------------------------------------------------


class PreforkServer:
    """The process that forks: `with PreforkServer() as prefork: pid = prefork.start(told, log, folder)`."""

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_IT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agentex_testkit.prefork"], env=kept, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )
        self._lock = threading.Lock()   # the next line is the answer to the last request
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate(timeout=10)
        self._process.wait(10)

    def start(self, told: Sequence[str], log: Path, folder: Path, throws: str = "") -> int:
        """Start an operator; its process id. `throws`: the name of the exception that its process throws."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            request = {"told": list(told), "log": str(log), "folder": str(folder), "throws": throws}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


class ForkedProcess:
    """One forked operator, with the methods of agentex_dev.parts.Part; for any thread."""

    def __init__(self, prefork: PreforkServer, told: Sequence[str], log: Path, folder: Path,
                 throws: str = "") -> None:
        self._watch: int | None = None
        self._lock = threading.RLock()   # nobody uses a number that another thread has just closed
        self.log = log
        self.pid = prefork.start(told, log, folder, throws)
        with suppress(ProcessLookupError):  # it may have ended before we looked
            self._watch = os.pidfd_open(self.pid)

    @property
    def running(self) -> bool:
        """Whether the process is there, frozen or not."""
        with self._lock:
            return self._watch is not None and not select.select([self._watch], [], [], 0)[0]

    def send(self, how: signal.Signals) -> None:
        """Send a signal; does nothing once the process is gone."""
        with self._lock, suppress(ProcessLookupError):
            if self._watch is not None:
                signal.pidfd_send_signal(self._watch, how)

    def end(self, how: signal.Signals = signal.SIGTERM, grace: float = 20.0) -> bool:
        """Send the signal and wait for the end, then SIGKILL; whether it ended by itself."""
        self.send(how)
        went = self._gone_within(grace)
        if not went:
            self.send(signal.SIGKILL)
            assert self._gone_within(10), f"process {self.pid} survives SIGKILL"
        return went

    def close(self) -> None:
        """Release the process id."""
        with self._lock:
            if self._watch is not None:
                os.close(self._watch)
                self._watch = None

    def _gone_within(self, seconds: float) -> bool:
        if self._watch is None:
            return True
        deadline = time.monotonic() + seconds
        while self.running and (left := deadline - time.monotonic()) > 0:
            select.select([self._watch], [], [], left)
        return not self.running


if __name__ == "__main__":
    serve()
