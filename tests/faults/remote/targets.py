"""How a case gets to each call of the remote API, with a fault injected into the call.

Every case ends alike: one live remote object, the one on record; the resource Ready or in the stated condition; and
nothing left after the resource is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.faults.remote.case import RemoteCase
from tests.faults.remote.scheduler import Steps, require

from agentex_testkit.api_server import Object, ready, stalled
from agentex_testkit.builders import (
    DOCKERFILE,
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
    an_image,
)
from agentex_testkit.judge.findings import Harm
from agentex_testkit.ledger import is_alive

FOR_A_WHILE = 3.0
KEY = "{the key}"  # in a fault: the account's API key, as a server that quotes what it was sent
TO_COLLECTIONS = {"AgentBuild": "/v5/builds", "AgentDeployment": "/v5/agentex/deployments"}
TO_ONE = {"AgentBuild": "/v5/builds/{build_id}", "AgentDeployment": "/v5/agentex/deployments/{deployment_id}"}
Fault = Mapping[str, Any]
OFTEN: Mapping[str, Mapping[str, Any]] = {"once": {}, "3-times": {"count": 3}, "for-a-while": {"healed": True}}


def posts(kind: str) -> Fault:
    return {"method": "POST", "path": TO_COLLECTIONS[kind]}


def gets(kind: str) -> Fault:
    return {"method": "GET", "path": TO_ONE[kind]}


def lists(kind: str) -> Fault:
    """The listings; an account's probe, which asks for one record, is none."""
    return {"method": "GET", "path": TO_COLLECTIONS[kind], "query": {"limit": "^100"}}


CANCELS: Fault = {"method": "POST", "path": "/v5/builds/{build_id}/cancel"}
DELETES: Fault = {"method": "DELETE", "path": TO_ONE["AgentDeployment"]}
LOGS: Fault = {"method": "GET", "path": "/v5/builds/{build_id}/logs"}


@dataclass(frozen=True)
class InjectedFault:
    """What goes wrong: the fault, how often (`count`, or until it is `healed`), and what is checked at the end.

    `lagging`: lists are behind as well. `remedy`: what happens once it went wrong; of what is healed, time passes.
    """

    fault: Fault
    count: int = 1
    healed: bool = False
    lagging: bool = False
    remedy: Callable[[RemoteCase, str], Steps] | None = None
    check: Callable[[RemoteCase], None] = field(default=lambda _: None)

    def script(self, case: RemoteCase, match: Fault) -> str:
        """Script the fault at these calls; its id."""
        fault = json.loads(json.dumps(dict(self.fault)).replace(KEY, case.key))
        if fault["kind"] == "redirect":
            fault["location"] = f"http://{case.scheduler.elsewhere.host}/v5/builds"
        often = {"forever": True} if self.healed else {"count": self.count}
        return case.inject(match=match, **often, **fault)

    def passes_by(self, case: RemoteCase, fault: str) -> Steps:
        """Wait until the fault has fired, and end it: by its count, its remedy, or after a while."""
        yield case.has_fired(fault)
        if self.remedy is not None:
            yield from self.remedy(case, fault)
        elif self.healed:
            yield case.passes(FOR_A_WHILE)
            case.remove_faults(fault)

    def lag(self, case: RemoteCase) -> None:
        """Let lists lag from here on, by less than the operator waits after a lost answer."""
        if self.lagging:
            case.inject_optional("stale-list", seconds=0.5, forever=True)


class ReachCall(Protocol):
    """Leads a case to one call of the remote API, with a fault injected into the call."""

    def __call__(self, case: RemoteCase, injected: InjectedFault) -> Steps:
        """The steps of the case."""
        ...


# --- what is applied ------------------------------------------------------------------------------------------------


def a_resource(case: RemoteCase, dockerfile: str = DOCKERFILE) -> tuple[Object, ...]:
    """A build of a context with this Dockerfile, or a deployment of a registered image."""
    if _is_run(case):
        return a_context(case.name, dockerfile), a_build(case.name, **case.ref)
    if case.kind == "AgentBuild":
        return (an_image(case.name, **case.ref),)
    manifest = {"inline": a_manifest(case.name)}
    return an_image(case.name, **case.ref), a_deployment(case.name, manifest=manifest, **case.ref)


def preview(case: RemoteCase, description: str = "answers", **spec: Any) -> tuple[Object, ...]:
    """A preview of a registered image."""
    manifest = {"inline": a_manifest(case.name, description)}
    return an_image(case.name, **case.ref), a_preview(case.name, manifest=manifest, ttl="9h", **case.ref, **spec)


def ends_well(case: RemoteCase, injected: InjectedFault) -> Steps:
    """Ready, without a duplicate, and then deleted."""
    yield case.becomes(ready, "Ready")
    yield case.is_alone()
    yield from ends(case, injected)


def ends(case: RemoteCase, injected: InjectedFault) -> Steps:
    """The check of the row holds, and the deletion leaves nothing."""
    injected.check(case)
    yield from case.leaves()


# --- how each call is reached ----------------------------------------------------------------------------------------


def at_a_post(case: RemoteCase, injected: InjectedFault) -> Steps:
    """The create fails."""
    case.open()
    fault = injected.script(case, posts(case.kind))
    injected.lag(case)
    case.apply(*a_resource(case))
    yield from injected.passes_by(case, fault)
    yield from ends_well(case, injected)


def at_a_list(case: RemoteCase, injected: InjectedFault) -> Steps:
    """The listings fail: the one before the create, and those after it."""
    case.open()
    fault = injected.script(case, lists(case.kind))
    case.apply(*a_resource(case))
    yield from injected.passes_by(case, fault)
    yield from ends_well(case, injected)


def at_a_get(case: RemoteCase, injected: InjectedFault) -> Steps:
    """No listing shows the record, so that GETs have to follow it; and those fail."""
    case.open()
    yield from followed_by_gets(case)
    fault = injected.script(case, gets(case.kind))
    yield from injected.passes_by(case, fault)
    let_it_end(case)
    yield from ends_well(case, injected)


def followed_by_gets(case: RemoteCase) -> Steps:
    """Once its id is on record, no listing shows it, and a build of a context runs until `let_it_end`. Not before: on a
    busy machine a create may get no answer in time, and what it made can only be found in a listing.
    """
    case.apply(*a_resource(case, STUCK))
    yield case.until("an id on record", lambda: case.remote_id)
    case.inject("hide", lists(case.kind), forever=True)


def let_it_end(case: RemoteCase) -> None:
    """Let the build of `followed_by_gets` succeed."""
    if _is_run(case):
        case.world.simulator.actor("finish-build", id=case.remote_id)


def _is_run(case: RemoteCase) -> bool:
    return case.kind == "AgentBuild" and not case.image


def at_a_cancel(case: RemoteCase, injected: InjectedFault) -> Steps:
    """A running build is cancelled: by deletion, by an edit of its source, or by spec.cancel."""
    case.open()
    case.apply(a_context(case.name, STUCK), a_build(case.name, **case.ref))
    yield case.until("a build that runs", lambda: any(one["status"] == "running" for one in case.remotes))
    fault = injected.script(case, CANCELS)
    injected.lag(case)
    if injected.healed:
        yield from _cancelled_by_deletion(case, injected, fault)
    elif injected.count > 1:
        yield from _cancelled_by_edit(case, injected, fault)
    else:
        yield from _cancelled_by_wish(case, injected, fault)


def _cancelled_by_deletion(case: RemoteCase, injected: InjectedFault, fault: str) -> Steps:
    case.delete()
    yield from injected.passes_by(case, fault)
    yield from ends(case, injected)


def _cancelled_by_edit(case: RemoteCase, injected: InjectedFault, fault: str) -> Steps:
    case.creates = 2
    case.apply(a_context(case.name))
    yield from injected.passes_by(case, fault)
    yield from ends_well(case, injected)


def _cancelled_by_wish(case: RemoteCase, injected: InjectedFault, fault: str) -> Steps:
    case.world.patch(case.kind, case.name, spec={"cancel": True})
    yield from injected.passes_by(case, fault)
    yield case.becomes(stalled("Cancelled"), "Stalled, because it was cancelled")
    require(not any(is_alive(one) for one in case.remotes), "I20", "it says Cancelled and a build runs", Harm.LEAKED)
    yield from ends(case, injected)


def at_a_delete(case: RemoteCase, injected: InjectedFault) -> Steps:
    """A deployment is deleted remotely: as the predecessor of an edited preview, or with its resource."""
    way = _removed_as_predecessor if injected.count > 1 else _removed_by_deletion
    yield from way(case, injected)


def _removed_by_deletion(case: RemoteCase, injected: InjectedFault) -> Steps:
    case.open()
    case.apply(*(preview(case) if injected.healed else a_resource(case)))
    yield case.becomes(ready, "Ready")
    fault = injected.script(case, DELETES)
    injected.lag(case)
    case.delete()
    yield from injected.passes_by(case, fault)
    yield from ends(case, injected)


def _removed_as_predecessor(case: RemoteCase, injected: InjectedFault) -> Steps:
    case.creates = 2
    case.open()
    case.apply(*preview(case))
    yield case.becomes(ready, "Ready")
    fault = injected.script(case, DELETES)
    case.apply(*preview(case, "answers better"))
    yield from injected.passes_by(case, fault)
    yield from ends_well(case, injected)


def at_the_log(case: RemoteCase, injected: InjectedFault) -> Steps:
    """A build fails, and its log cannot be read."""
    case.open()
    fault = injected.script(case, LOGS)
    case.apply(a_context(case.name, FAILING), a_build(case.name, **case.ref))
    yield from injected.passes_by(case, fault)
    yield case.becomes(stalled("BuildFailed"), "Stalled, because the build failed")
    yield case.until("something of the log", lambda: bool(case.status.get("logTail")))  # asked for again, if need be
    yield from ends(case, injected)
