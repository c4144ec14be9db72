"""The faults of the configmaps family: what goes wrong with the watch of ConfigMaps while one of them changes.

    late=3 …         the watch is distorted from the start: every word of watch_distortion.py
    lost             the events of the change are dropped, and the connection breaks: a list shows what changed
    ended            they are dropped, and the API server ends the watch: it is resumed from the version before them
    expired          they are dropped, and the watch ends with 410
    list ANSWER      the connection breaks before the change, and the next lists get this answer (ANSWERS)
    watch ANSWER     as before, and the next watches get this answer
    denied           the right is taken away before the change: the ConfigMap is polled
    denied for long  and is given back: the ConfigMap is watched again, and polled no more
    kill event       SIGKILL when the event of the change has been passed on
    kill VERB/PHASE  SIGKILL at the next read (GET) or create (POST) after the change, in this phase
    down             the operator is killed before the change, and started after it
    both, both WORD  two operators; the watch of the second is distorted by this word
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.runner.runner import Runner
from tests.faults.scenarios.watch_control import WatchControl
from tests.faults.scenarios.watch_distortion import WatchDistortion

from agentex_testkit.api_server import eventually
from agentex_testkit.fault_proxy.calls import KUBE, REMOTE, Call
from agentex_testkit.fault_proxy.faults import CallFault, WatchFilter

WATCHED = "configmaps"
DISTORTIONS = ("late=1", "late=3", "newest=2", "twice", "back", "once=1", "gone=2", "refused=2", "error=2", "torn=1",
               "torn=2", "silent=3")
ANSWERS = ("500", "429", "503-html", "broken", "cut-short-done")
ENDS = {"lost": "break", "ended": "end", "expired": "expire"}
KILLS = ("kill event", "kill GET/pre", "kill GET/post", "kill POST/pre", "kill POST/mid", "kill POST/post")
FAULTS = (*DISTORTIONS, *ENDS, *(f"list {one}" for one in ANSWERS), *(f"watch {one}" for one in ANSWERS[:-1]),
          "denied", *KILLS, "down", "both", "both late=3", "both torn=2", "both silent=3")
TIMES = {"list": 9, "watch": 3}  # bad answers in a row: two attempts fail, then polling begins; a list is tried 4 times
SETTLED = 1.2      # seconds: a watch that was open for less counts as broken
TOLD = 0.5         # seconds in which an event reaches the fault proxy
CREATES = {"build": "/v5/builds", "deployment": "/v5/agentex/deployments", "both": "/v5/builds"}


class ConfigMapFault:
    """One fault by its name."""

    def __init__(self, name: str, runner: Runner) -> None:
        self.name, self._runner = name, runner
        self.of_both = name.startswith("both")
        word = name.removeprefix("both").strip()
        self.distortion = WatchDistortion.parse(f"{word}@{WATCHED}") if word.split("=")[0] in WORDS else None
        self._control = WatchControl(WATCHED)
        self._faults: list[CallFault] = []

    @property
    def watch_filter(self) -> WatchFilter:
        """What changes the watch of the operator; of the second one, where there are two."""
        return self.distortion or self._control

    @property
    def late(self) -> float:
        """How many seconds late the operator may see the last event."""
        return self.distortion.late if self.distortion else 0

    @property
    def happened(self) -> bool:
        """Whether it came to pass."""
        if self.distortion:
            return self.distortion.happened
        dropped = self._control.dropped > 0 if self.name in ENDS else True
        return dropped and all(fault.triggered.is_set() for fault in self._faults)

    @contextmanager
    def during(self, named: str) -> Iterator[None]:
        """Within this context the ConfigMap that `named` names changes."""
        kind, _, how = self.name.partition(" ")
        if kind in ENDS:
            time.sleep(SETTLED)
            self._control.drop()
            yield
            time.sleep(TOLD)
            self._control.finish(ENDS[kind])
        elif kind == "down":
            self._runner.supervisor.stop()
            yield
            self._runner.supervisor.start()
        else:
            self._begin(kind, how, named)
            yield

    def _begin(self, kind: str, how: str, named: str) -> None:
        match kind:
            case "list" | "watch":
                self._answer(kind.upper(), how, TIMES[kind])
                self._control.finish("break")
            case "denied":
                self._answer("LIST", "403", 1)
                self._control.finish("break")
                eventually(self._faults[0].triggered.is_set)
            case "kill":
                self._kill(how, named)
            case _:  # the distortion has begun with the plan
                pass

    def _answer(self, verb: str, answer: str, times: int) -> None:
        """Answer the next calls of this sort like this."""
        first = self._made(KUBE, verb, WATCHED) + 1
        self._faults = [CallFault(Call(KUBE, verb, WATCHED, first + n), answer) for n in range(times)]
        self._runner.proxy.faults += self._faults

    def _kill(self, how: str, named: str) -> None:
        verb, _, phase = how.partition("/")
        if verb == "event":
            fault = CallFault(Call(KUBE, "WATCH", WATCHED, 0), "lines")
            self._control.at_next_event(lambda: self._runner.proxy.interrupt_now(fault))
        else:
            server, what = (KUBE, f"{WATCHED}/quote") if verb == "GET" else (REMOTE, CREATES[named])
            fault = CallFault(Call(server, verb, what, self._made(server, verb, what) + 1), phase)
            self._runner.proxy.faults.append(fault)
        self._faults = [fault]

    def _made(self, server: str, verb: str, what: str) -> int:
        """How many calls of this sort were made: no operator was killed before."""
        return sum(call[:3] == (server, verb, what) for call in tuple(self._runner.proxy.trace))


WORDS = frozenset(one.partition("=")[0] for one in DISTORTIONS)
