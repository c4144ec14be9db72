"""Rows of the matrix with steps of their own: status words, lost records, ids of others, wrong lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import httpx
from tests.faults.remote import removals
from tests.faults.remote.case import RemoteCase
from tests.faults.remote.scheduler import Steps, require
from tests.faults.remote.targets import (
    OFTEN,
    TO_COLLECTIONS,
    InjectedFault,
    a_resource,
    at_a_get,
    at_a_list,
    ends,
    ends_well,
    followed_by_gets,
    gets,
    let_it_end,
    lists,
)

from agentex_testkit.api_server import Object, ready, says, stalled
from agentex_testkit.builders import ENVIRONMENTS, STUCK, a_manifest
from agentex_testkit.judge.findings import Harm

NamedCase = tuple[str, str, Callable[[RemoteCase], Steps]]  # what it is called, the kind it is about, how it goes
KINDS = {"builds": "AgentBuild", "deployments": "AgentDeployment"}
SEEN_BY = {"list": lists, "get": gets}
NOTHING = InjectedFault({})


def cases() -> Iterator[NamedCase]:
    """All cases."""
    for noun, kind in KINDS.items():
        for named in (_words, _backwards, _lost, _of_others, _listings):
            yield from ((f"{words.replace('*', noun)}", kind, steps) for words, steps in named(kind))
    yield from ((words, "AgentBuild", steps) for words, steps in removals.cancels())
    yield from ((words, "AgentDeployment", steps) for words, steps in removals.deletes())


Rows = Iterator[tuple[str, Callable[[RemoteCase], Steps]]]

# --- status words ---------------------------------------------------------------------------------------------------

WORD = {"AgentBuild": "build_status", "AgentDeployment": "status"}
STRANGE: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "a-word-unheard-of": lambda _: {"kind": "status-words", "value": "levitating"},
    "the-word-unknown": lambda _: {"kind": "status-words", "value": "unknown"},
    "a-null-word": lambda _: {"kind": "status-words", "value": None},
    "a-number-for-a-word": lambda _: {"kind": "status-words", "value": 7},
    "no-word": lambda kind: {"kind": "field", "name": WORD[kind], "missing": True},
}
CASES = ("upper", "lower")


def _words(kind: str) -> Rows:
    for words, fault in STRANGE.items():
        for by in SEEN_BY:
            for often in OFTEN:
                yield f"{words}/{by}-*/{often}", partial(a_strange_word, fault=fault(kind), by=by, often=often)
    for case in CASES:
        for by, reach in (("list", at_a_list), ("get", at_a_get)):
            injected = InjectedFault({"kind": "status-words", "case": case}, count=10_000)
            yield f"words-in-{case}-case/{by}-*/always", partial(reach, injected=injected)


def a_strange_word(case: RemoteCase, *, fault: Mapping[str, Any], by: str, often: str) -> Steps:
    """An unknown status word ends nothing: it is shown as it is, and decides nothing."""
    case.open()
    if by == "get":
        yield from followed_by_gets(case)
    match, how = SEEN_BY[by](case.kind), {"forever": True} if often == "for-a-while" else OFTEN[often]
    strange = case.inject(match=match, **{**fault, **how})
    if by == "list":
        case.apply(*a_resource(case))
    yield case.has_fired(strange)
    if often == "for-a-while":
        yield case.becomes(says("Ready", "Unknown", "UnrecognizedExternalStatus"), "Unknown: a word of the remote's")
        yield case.passes(1)
        case.remove_faults(strange)
    if by == "get":
        let_it_end(case)
    yield from ends_well(case, NOTHING)


def _backwards(_kind: str) -> Rows:
    for by in SEEN_BY:
        for often in OFTEN:
            yield f"going-backwards/{by}-*/{often}", partial(going_backwards, by=by, often=often)


def going_backwards(case: RemoteCase, *, by: str, often: str) -> Steps:
    """A finished record is said to be running again: nothing is created, and a build stays finished."""
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    if by == "get":
        case.inject("hide", lists(case.kind), forever=True)
    how = {"forever": True} if often == "for-a-while" else OFTEN[often]
    back = case.inject("status-words", SEEN_BY[by](case.kind), map={"success": "running", "healthy": "in_progress"},
                          **how)
    look_again(case)
    yield case.has_fired(back)
    yield case.passes(1.5)
    require(case.kind != "AgentBuild" or ready(case.resource), "I10", f"a build ran backwards: {case.shown()}")
    case.remove_faults(back)
    yield from ends_well(case, NOTHING)


def look_again(case: RemoteCase, when: str = "now") -> None:
    case.world.annotate(case.kind, case.name, reconcile_requested_at=when)


# --- lost records ---------------------------------------------------------------------------------------------------


def _lost(kind: str) -> Rows:
    for often in ("once", "3-times", "until-it-is-said"):
        yield f"404-of-a-known-id/get-*/{often}", partial(missing_for_a_while, often=often)
    for policy in ("Report", "Correct") if kind == "AgentDeployment" else ("Report",):
        yield f"404-of-a-known-id/get-*/for-ever-{policy.lower()}", partial(missing_for_ever, policy=policy)


def missing_for_a_while(case: RemoteCase, *, often: str) -> Steps:
    """A 404 of a known id is not believed at once. The operator looks by itself: an edit could come between an only
    404 and the word about it, and the pass after that would rightly find everything there.
    """
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    id_ = case.remote_id
    case.inject("hide", lists(case.kind), forever=True)
    how = {"once": {"count": 1}, "3-times": {"count": 3}}.get(often, {"forever": True})
    missing = case.inject("not-found", gets(case.kind), **how)
    missed = says("Ready", "Unknown", "RemoteMissing")
    yield case.until("Unknown: missing", lambda: any(missed(version) for version in case.versions_so_far()))
    case.remove_faults(missing)
    yield from ends_well(case, NOTHING)
    require(case.remote_id in (None, id_), "I6", "it was made anew", Harm.DUPLICATED)


def missing_for_ever(case: RemoteCase, *, policy: str) -> Steps:
    """After the grace period the record is lost: a build is created again, a deployment only under Correct."""
    case.open()
    case.apply(*_with_policy(case, policy))
    yield case.becomes(ready, "Ready")
    lose(case)
    look_again(case)
    yield from created_again_or_reported(case, policy, "DeletedExternally")


def _with_policy(case: RemoteCase, policy: str) -> tuple[Object, ...]:
    *before, resource = a_resource(case)
    if case.kind == "AgentDeployment":
        resource["spec"]["onExternalChange"] = policy
    return (*before, resource)


def lose(case: RemoteCase) -> None:
    """Let the record on record vanish from every answer."""
    actor = "delete-build" if case.kind == "AgentBuild" else "delete-deployment"
    id_ = str(case.remote_id)
    case.world.simulator.actor(actor, id=id_)
    case.inject_optional("hide", lists(case.kind), ids=[id_], forever=True)
    case.inject_optional("not-found", {**gets(case.kind), "id": id_}, forever=True)


def created_again_or_reported(case: RemoteCase, policy: str, reason: str) -> Steps:
    """A build, and a deployment under Correct, are created again; otherwise a condition says what happened."""
    if case.kind == "AgentBuild" or policy == "Correct":
        lost, case.creates = case.remote_id, 2
        yield case.until("another on record", lambda: case.remote_id not in (None, lost))
        return (yield from ends_well(case, NOTHING))
    yield case.becomes(stalled(reason), f"Stalled: {reason}")
    return (yield from ends(case, NOTHING))


# --- ids of others --------------------------------------------------------------------------------------------------


def _of_others(kind: str) -> Rows:
    for by in SEEN_BY:
        for policy in ("Report", "Correct") if kind == "AgentDeployment" else ("Report",):
            yield f"an-id-given-to-another/{by}-*/{policy.lower()}", partial(id_given_away, by=by, policy=policy)
        yield f"an-id-given-to-another/{by}-*/deleted", partial(given_away_and_deleted, by=by)
    yield "answered-with-anothers-id/post-*/once", answered_with_anothers


def id_given_away(case: RemoteCase, *, by: str, policy: str) -> Steps:
    """The id on record names an object of another owner: ours is lost, and the other one is never touched."""
    case.open()
    case.apply(*_with_policy(case, policy))
    yield case.becomes(ready, "Ready")
    id_ = give_away(case, by)
    look_again(case)
    yield from created_again_or_reported(case, policy, "DeletedExternally")
    leaves_alone(case, id_)


def given_away_and_deleted(case: RemoteCase, *, by: str) -> Steps:
    """While it runs, its id becomes another owner's; the deletion does not cancel the other one."""
    case.open()
    case.apply(*a_resource(case, STUCK))
    yield case.until("something that lives", lambda: case.remotes and case.remote_id)
    id_ = give_away(case, by)
    yield case.passes(1.1)  # a deletion's time is in whole seconds: a listing of before must not count as one of after
    case.delete()
    yield from ends(case, NOTHING)
    leaves_alone(case, id_)


def give_away(case: RemoteCase, by: str) -> str:
    id_ = str(case.remote_id)
    if by == "get":  # this one alone: what is made anew may get no answer in time, and is then found in a listing
        case.inject_optional("hide", lists(case.kind), ids=[id_], forever=True)
    case.world.simulator.actor("give-away", id=id_)
    case.settled.add(id_)
    return id_


def leaves_alone(case: RemoteCase, id_: str) -> None:
    """I4: only GETs were made of this id."""
    asked = (one for one in case.calls() if id_ in one["path"])
    touched = [f"{one['method']} {one['path']}" for one in asked if one["method"] != "GET"]
    require(not touched, "I4", f"{id_} is another's, and {touched} was asked of it", Harm.WRONGLY_DELETED)


def answered_with_anothers(case: RemoteCase) -> Steps:
    """The create is answered with the record of another owner."""
    case.open()
    another = crowd(case)[-1]
    case.creates, case.ambiguous = 2, 1
    case.inject("id", {"method": "POST", "path": TO_COLLECTIONS[case.kind]}, value=another)
    case.apply(*a_resource(case))
    yield case.until("one of ours on record", lambda: ready(case.resource) and case.remote_id in ours(case))
    case.settled |= ours(case) - {case.remote_id} if case.kind == "AgentBuild" else set()
    yield from ends_well(case, NOTHING)
    leaves_alone(case, another)


def ours(case: RemoteCase) -> set[str | None]:
    return {one["id"] for one in case.remotes}


# --- lists ----------------------------------------------------------------------------------------------------------

SMALL: Mapping[str, Any] = {"kind": "page-size", "items": 2, "forever": True}
LISTS: Mapping[str, Mapping[str, Any]] = {
    "lists-that-lag": {"kind": "stale-list", "seconds": 0.6},
    "pages-that-move": {"kind": "skip"},
    "pages-that-overlap": {"kind": "overlap"},
    "a-cursor-that-is-refused": {"kind": "cursor-400"},
    "has-more-for-ever": {"kind": "has-more"},
    "has-more-never": {"kind": "has-more", "value": False},
    "pages-that-repeat": {"kind": "has-more", "repeat": True},
    "filters-ignored": {"kind": "filter-ignored"},
    "agents-without-ids": {"kind": "null-agent-id"},
    "records-without-dates": {"kind": "field", "name": "created_at", "value": None},
    "dates-that-are-none": {"kind": "field", "name": "created_at", "value": "yesterday"},
    "dates-of-the-year-2038": {"kind": "field", "name": "created_at", "value": "2038-01-19T03:14:08Z"},
    "sorting-refused": {"kind": "status", "status": 422},
}


def _listings(kind: str) -> Rows:
    for words, fault in LISTS.items():
        for often in OFTEN:
            yield f"{words}/list-*/{often}", partial(in_a_crowd, fault=fault, often=often)
    yield "pages-without-end/list-*/for-a-while", pages_without_end
    yield "archived/list-*/always", partial(archived, kind=kind)


def in_a_crowd(case: RemoteCase, *, fault: Mapping[str, Any], often: str) -> Steps:
    """Lists of many small pages, most of them about others, are wrong."""
    case.open()
    crowd(case)
    case.inject_optional(match=lists(case.kind), **SMALL)
    narrow = lists(case.kind)
    if fault["kind"] == "status":
        narrow = {**narrow, "query": {**narrow["query"], "sort_by": "."}}
    how = {"forever": True} if often == "for-a-while" else OFTEN[often]
    wrong = case.inject(match=narrow, **{**fault, **how})
    case.apply(*a_resource(case))
    yield case.has_fired(wrong)
    crowd(case, "later")
    if often == "for-a-while":
        yield case.passes(3)
        case.remove_faults(wrong)
    yield from ends_well(case, NOTHING)


def pages_without_end(case: RemoteCase) -> Steps:
    """Every page leads to another one with new records: a listing ends all the same."""
    case.open()
    crowd(case)
    case.herded = 2 * MOST_PAGES
    endless = case.inject("endless", lists(case.kind), forever=True)
    case.apply(*a_resource(case))
    yield case.has_fired(endless, 50)
    case.remove_faults(endless)
    yield from ends_well(case, NOTHING)


MOST_PAGES = 2000


def archived(case: RemoteCase, *, kind: str) -> Steps:
    """The record is archived: no list shows it any more, but a GET does."""
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    actor = "archive-build" if kind == "AgentBuild" else "archive-deployment"
    case.world.simulator.actor(actor, id=case.remote_id)
    look_again(case)
    yield case.until("the look that was asked for", lambda: case.status.get("lastHandledReconcileRequestedAt") == "now")
    yield from ends_well(case, NOTHING)


def crowd(case: RemoteCase, name: str = "others") -> list[str]:
    """Create three records of other owners in the same account; their ids."""
    key = {"x-api-key": case.key, "x-selected-account-id": case.account}
    with httpx.Client(base_url=case.world.simulator.url, headers=key, trust_env=False) as http:
        builds = {f"{name}-{number}": _registered(http, f"{name}-{number}") for number in range(3)}
        if case.kind == "AgentBuild":
            return list(builds.values())
        return [_deployed(http, agent, build) for agent, build in builds.items()]


def _registered(http: httpx.Client, agent: str) -> str:
    fields = {"image_name": agent, "image_tag": "1", "agent_name": agent, "image_url": f"elsewhere.invalid/{agent}:1"}
    parts = {name: (None, text) for name, text in fields.items()}
    return str(http.post("/v5/builds", files=parts).raise_for_status().json()["id"])


def _deployed(http: httpx.Client, agent: str, build: str) -> str:
    body = {"manifest_file": a_manifest(agent), "environment_config": ENVIRONMENTS, "build_id": build}
    return str(http.post("/v5/agentex/deployments", json=body).raise_for_status().json()["id"])
