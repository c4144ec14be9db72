"""Rows of the matrix about removals: cancels without effect, deletes that are refused or already done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.remote.case import RemoteCase
from tests.faults.remote.scheduler import Steps
from tests.faults.remote.targets import DELETES, OFTEN, InjectedFault, a_resource, at_a_delete, ends, ends_well, lists

from agentex_testkit.api_server import ready
from agentex_testkit.builders import STUCK, a_build, a_context

Rows = Iterator[tuple[str, Callable[[RemoteCase], Steps]]]
NOTHING = InjectedFault({})


def cancels() -> Rows:
    for often in ("once", "3-times"):
        for way in ("deleted", "edited"):
            yield f"202-and-nothing-happens/cancel/{way}-{often}", partial(ignored, way=way, often=often)
    yield "202-and-it-succeeds/cancel/once", won_by_the_build
    yield "cancelled-by-another/cancel/once", cancelled_by_another


def running(case: RemoteCase) -> Steps:
    """A build that never ends by itself."""
    case.open()
    case.apply(a_context(case.name, STUCK), a_build(case.name, **case.ref))
    yield case.until("a build that runs", lambda: case.remote_id and any(
        one["status"] == "running" for one in case.remotes))


def ignored(case: RemoteCase, *, way: str, often: str) -> Steps:
    """The cancel is accepted and has no effect: the operator asks again."""
    yield from running(case)
    times = {"once": 1, "3-times": 3}[often]
    cancel = case.inject("cancel-ignored", count=times)
    if way == "deleted":
        case.delete()
        yield case.has_fired(cancel, times)
        return (yield from ends(case, NOTHING))
    case.creates = 2
    case.apply(a_context(case.name))
    yield case.has_fired(cancel, times)
    return (yield from ends_well(case, NOTHING))


def won_by_the_build(case: RemoteCase) -> Steps:
    """The cancel is accepted, and the build succeeds all the same."""
    yield from running(case)
    cancel = case.inject("cancel-ignored", forever=True)
    case.world.patch(case.kind, case.name, spec={"cancel": True})
    yield case.has_fired(cancel)
    case.world.simulator.actor("finish-build", id=case.remote_id)
    yield from ends_well(case, NOTHING)


def cancelled_by_another(case: RemoteCase) -> Steps:
    """The build was cancelled by another client before."""
    yield from running(case)
    late = case.inject("stale-list", lists(case.kind), seconds=3600, forever=True)
    case.world.simulator.actor("finish-build", id=case.remote_id, status="cancelled")
    case.delete()
    yield from ends(case, NOTHING)
    case.remove_faults(late)


def deletes() -> Rows:
    for status in (400, 404, 409, 422):
        fault = {"kind": "commit-then-500", "status": status, "body": {"detail": "it is over already"}}
        for often in ("once", "3-times"):
            injected = InjectedFault(fault, count={"once": 1, "3-times": 3}[often])
            yield f"{status}-already-over/delete/{often}", partial(at_a_delete, injected=injected)
    for often, how in OFTEN.items():
        injected = InjectedFault({"kind": "teardown-failure"}, **how)
        yield f"a-teardown-that-fails/delete/{often}", partial(at_a_delete, injected=injected)
    for policy in ("seen", "unseen"):
        yield f"deleted-by-another/delete/{policy}", partial(deleted_by_another, seen=policy == "seen")
    yield "refused-and-still-there/delete/3-times", refused_and_still_there


def deleted_by_another(case: RemoteCase, *, seen: bool) -> Steps:
    """Another client deletes the deployment first; lists may not show that yet."""
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    if not seen:
        case.inject_optional("status-words", lists(case.kind), map={"deleted": "healthy"}, forever=True)
    case.world.simulator.actor("delete-deployment", id=case.remote_id)
    case.delete()
    yield from ends(case, NOTHING)


def refused_and_still_there(case: RemoteCase) -> Steps:
    """The delete is refused as if the record were gone; it is deleted in the end."""
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    refused = case.inject("status", DELETES, status=400, count=3)
    case.delete()
    yield case.has_fired(refused, 3)
    yield from ends(case, NOTHING)
