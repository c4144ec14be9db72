"""The matrix of the remote API's faults as a table: rows of faults, and the calls that each is injected into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.remote import special_settings, wrong_answers
from tests.faults.remote.case import ON_ITS_WAY, RemoteCase
from tests.faults.remote.scheduler import Steps, require
from tests.faults.remote.targets import (
    KEY,
    OFTEN,
    InjectedFault,
    ReachCall,
    at_a_cancel,
    at_a_delete,
    at_a_get,
    at_a_list,
    at_a_post,
    at_the_log,
)

Fault = Mapping[str, Any]
BUILD, DEPLOYMENT = "AgentBuild", "AgentDeployment"
USUAL = "usual"


@dataclass(frozen=True)
class Target:
    """One call of the remote API: the kind of resource that makes it, and how a case gets to it."""

    kind: str
    reach: ReachCall
    writes: bool = False
    once: bool = False  # nothing asks a second time


TARGETS = {
    "post-build": Target(BUILD, at_a_post, writes=True),
    "post-deployment": Target(DEPLOYMENT, at_a_post, writes=True),
    "get-build": Target(BUILD, at_a_get),
    "get-deployment": Target(DEPLOYMENT, at_a_get),
    "list-builds": Target(BUILD, at_a_list),
    "list-deployments": Target(DEPLOYMENT, at_a_list),
    "cancel": Target(BUILD, at_a_cancel, writes=True),
    "delete": Target(DEPLOYMENT, at_a_delete, writes=True),
    "log": Target(BUILD, at_the_log, once=True),
}
POSTS = ("post-build", "post-deployment")
READS = ("get-build", "get-deployment", "list-builds", "list-deployments")
WRITES = tuple(name for name, target in TARGETS.items() if target.writes)


@dataclass(frozen=True)
class Row:
    """One fault, and the calls it is injected into. `committed`: a write takes effect all the same."""

    fault: Fault
    at: tuple[str, ...] = tuple(TARGETS)
    committed: bool = False
    setting: str = USUAL
    check: Callable[[RemoteCase], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class Plan:
    """A named case; plans of one setting share worlds."""

    name: str
    kind: str
    steps: Callable[[RemoteCase], Steps]
    setting: str = USUAL


# --- what the rows ask for ------------------------------------------------------------------------------------------


def keeps_the_pause(seconds: float) -> Callable[[RemoteCase], None]:
    """No call of the account before Retry-After is over, but for those that were under way."""

    def check(case: RemoteCase) -> None:
        calls = case.calls()
        for pause in (call["elapsed"] + call["seconds"] for call in calls if call["status"] == 429):
            early = [f"{call['method']} {call['path']} after {call['elapsed'] - pause:.2f} s" for call in calls
                     if ON_ITS_WAY < call["elapsed"] - pause < seconds]
            require(not early, "I12", f"called before a Retry-After of {seconds} s was over: {early}")

    return check


def keeps_the_key(case: RemoteCase) -> None:
    """I17: no server but Agentex was called; every redirect leads to `elsewhere`."""
    asked = [path for path, _ in case.scheduler.elsewhere.asked]
    require(not asked, "I17", f"{len(asked)} requests were redirected, the first to {asked[:1]}")


# --- the rows -------------------------------------------------------------------------------------------------------

HTML = "<html><head><title>Welcome</title></head><body>Please log in.</body></html>"
GZIP: Fault = {"kind": "commit-then-500", "status": 200, "body": "not gzip", "content_type": "application/json",
               "headers": {"Content-Encoding": "gzip"}}

ROWS: dict[str, Row] = {
    # answered, and nothing happened
    "500": Row({"kind": "status", "status": 500}),
    "502-html": Row({"kind": "html-502"}),
    "503": Row({"kind": "outage"}),
    "504": Row({"kind": "status", "status": 504, "body": "upstream timed out", "content_type": "text/plain"}),
    "403": Row({"kind": "status", "status": 403}),
    "408": Row({"kind": "status", "status": 408}),
    "409-before": Row({"kind": "status", "status": 409}, at=POSTS),
    "200-of-a-proxy": Row({"kind": "html-502", "status": 200}),
    "429-in-seconds": Row({"kind": "throttle", "retry_after": "8"}, check=keeps_the_pause(8)),
    "429-until-a-date": Row({"kind": "throttle", "until": 9}, check=keeps_the_pause(8)),
    "429-zero": Row({"kind": "throttle", "retry_after": "0"}),
    "429-negative": Row({"kind": "throttle", "retry_after": "-7"}),
    "429-garbage": Row({"kind": "throttle", "retry_after": "soon"}),
    "429-silent": Row({"kind": "throttle"}),
    "500-quoting-the-key": Row({"kind": "status", "status": 500, "body": {"detail": f"cannot serve {KEY}"}}),
    "400-quoting-the-key": Row({"kind": "status", "status": 400, "body": {"detail": f"bad {KEY}"}},
                               at=(*POSTS, "list-builds", "list-deployments", "log")),
    # no answer, and nothing happened
    "reset-before": Row({"kind": "drop-before-commit"}),
    "closed-before": Row({"kind": "drop-before-commit", "how": "fin"}),
    "reset-in-the-request": Row({"kind": "drop-before-commit", "half": True}, at=POSTS),
    "reset-after-the-request": Row({"kind": "drop-before-commit", "after_body": True}),
    # it happened, and the answer is another or none
    "500-after": Row({"kind": "commit-then-500"}, committed=True),
    "409-after": Row({"kind": "commit-then-500", "status": 409}, at=POSTS, committed=True),
    "reset-after": Row({"kind": "commit-then-drop-response"}, committed=True),
    "closed-after": Row({"kind": "commit-then-drop-response", "how": "fin"}, committed=True),
    "half-an-answer": Row({"kind": "truncated"}, committed=True),
    "a-wrong-length": Row({"kind": "wrong-content-length"}, committed=True),
    "an-empty-body": Row({"kind": "empty-body"}, committed=True),
    "204": Row({"kind": "commit-then-500", "status": 204, "body": ""}, committed=True),
    "html-instead": Row({"kind": "commit-then-500", "status": 200, "body": HTML, "content_type": "text/html"},
                        committed=True),
    "broken-gzip": Row(GZIP, committed=True),
    "a-slow-answer": Row({"kind": "slow", "header_delay": 1.5}, committed=True),
    "an-answer-that-trickles": Row({"kind": "slow", "chunk": 16, "chunk_delay": 0.02}, committed=True),
    # ids that cannot be
    "no-id": Row({"kind": "id", "missing": True}, at=(*POSTS, *READS), committed=True),
    "a-null-id": Row({"kind": "id"}, at=(*POSTS, *READS), committed=True),
    "an-endless-id": Row({"kind": "id", "length": 10_000}, at=(*POSTS, *READS), committed=True),
    "an-id-that-climbs": Row({"kind": "id", "value": "../x"}, at=(*POSTS, *READS), committed=True),
    "an-id-of-nothing": Row({"kind": "id", "value": "11111111-1111-4111-8111-111111111111"}, at=READS),
    # the log, which is a stream
    "a-log-cut-short": Row({"kind": "sse", "cut_after": 1}, at=("log",)),
    "a-log-that-drips": Row({"kind": "sse", "delay": 0.5}, at=("log",)),
    # elsewhere
    "301": Row({"kind": "redirect", "status": 301}, check=keeps_the_key),
    "307": Row({"kind": "redirect", "status": 307}, check=keeps_the_key),
}


def often(row: Row, target: Target) -> Mapping[str, Mapping[str, Any]]:
    """Once, three times, and for a while; a write that takes effect all the same can only go wrong once."""
    if target.once:
        return {"once": {}}
    if row.committed and target.writes:
        return {"once": {}, "once-with-lists-that-lag": {"lagging": True}}
    return OFTEN


def matrix() -> Iterator[Plan]:
    """Every row at each of its calls, as often as possible."""
    for words, row in ROWS.items():
        for at in row.at:
            for times, how in often(row, TARGETS[at]).items():
                injected = InjectedFault(row.fault, check=row.check, **how)
                yield Plan(f"remote/{words}/{at}/{times}", TARGETS[at].kind, _steps_of(TARGETS[at].reach, injected),
                           row.setting)


def of_their_own() -> Iterator[Plan]:
    """Rows with steps of their own."""
    for words, kind, steps in wrong_answers.cases():
        yield Plan(f"remote/{words}", kind, steps)
    reached_by = {name: (target.kind, target.reach) for name, target in TARGETS.items()}
    for words, kind, steps, setting in special_settings.cases(reached_by):
        yield Plan(f"remote/{words}", kind, steps, setting)


def _steps_of(reach: ReachCall, injected: InjectedFault) -> Callable[[RemoteCase], Steps]:
    return lambda case: reach(case, injected)
