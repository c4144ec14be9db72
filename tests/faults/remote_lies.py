"""Rows of the fault matrix that need a story of their own: words, lost records, ids of others, lists, removals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import httpx
from tests.faults import remote_removals
from tests.faults.remote_stage import Scene, Story, require
from tests.faults.remote_walks import (
    OFTEN,
    TO_COLLECTIONS,
    Trouble,
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

Told = tuple[str, str, Callable[[Scene], Story]]  # what it is called, the kind it is about, how it goes
KINDS = {"builds": "AgentBuild", "deployments": "AgentDeployment"}
SEEN_BY = {"list": lists, "get": gets}
NOTHING = Trouble({})


def stories() -> Iterator[Told]:
    """All of them."""
    for noun, kind in KINDS.items():
        for told in (_words, _backwards, _lost, _of_others, _listings):
            yield from ((f"{words.replace('*', noun)}", kind, story) for words, story in told(kind))
    yield from ((words, "AgentBuild", story) for words, story in remote_removals.cancels())
    yield from ((words, "AgentDeployment", story) for words, story in remote_removals.deletes())


Rows = Iterator[tuple[str, Callable[[Scene], Story]]]

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
        for by, walk in (("list", at_a_list), ("get", at_a_get)):
            trouble = Trouble({"kind": "status-words", "case": case}, count=10_000)
            yield f"words-in-{case}-case/{by}-*/always", partial(walk, trouble=trouble)


def a_strange_word(scene: Scene, *, fault: Mapping[str, Any], by: str, often: str) -> Story:
    """A word that nobody knows is no end: it is shown as it is, and nothing is decided by it."""
    scene.open()
    if by == "get":
        yield from followed_by_gets(scene)
    match, how = SEEN_BY[by](scene.kind), {"forever": True} if often == "for-a-while" else OFTEN[often]
    strange = scene.go_wrong(match=match, **{**fault, **how})
    if by == "list":
        scene.apply(*a_resource(scene))
    yield scene.is_hit(strange)
    if often == "for-a-while":
        yield scene.becomes(says("Ready", "Unknown", "UnrecognizedExternalStatus"), "Unknown: a word of the remote's")
        yield scene.passes(1)
        scene.heal(strange)
    if by == "get":
        let_it_end(scene)
    yield from ends_well(scene, NOTHING)


def _backwards(_kind: str) -> Rows:
    for by in SEEN_BY:
        for often in OFTEN:
            yield f"going-backwards/{by}-*/{often}", partial(going_backwards, by=by, often=often)


def going_backwards(scene: Scene, *, by: str, often: str) -> Story:
    """What succeeded is running again, it says: nothing is made anew, and a build that ended has ended."""
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    if by == "get":
        scene.go_wrong("hide", lists(scene.kind), forever=True)
    how = {"forever": True} if often == "for-a-while" else OFTEN[often]
    back = scene.go_wrong("status-words", SEEN_BY[by](scene.kind), map={"success": "running", "healthy": "in_progress"},
                          **how)
    look_again(scene)
    yield scene.is_hit(back)
    yield scene.passes(1.5)
    require(scene.kind != "AgentBuild" or ready(scene.resource), "I10", f"a build ran backwards: {scene.shown()}")
    scene.heal(back)
    yield from ends_well(scene, NOTHING)


def look_again(scene: Scene, when: str = "now") -> None:
    scene.world.annotate(scene.kind, scene.name, reconcile_requested_at=when)


# --- lost records ---------------------------------------------------------------------------------------------------


def _lost(kind: str) -> Rows:
    for often in ("once", "3-times", "until-it-is-said"):
        yield f"404-of-a-known-id/get-*/{often}", partial(missing_for_a_while, often=often)
    for policy in ("Report", "Correct") if kind == "AgentDeployment" else ("Report",):
        yield f"404-of-a-known-id/get-*/for-ever-{policy.lower()}", partial(missing_for_ever, policy=policy)


def missing_for_a_while(scene: Scene, *, often: str) -> Story:
    """A 404 of a known id is not believed at once. The operator looks by itself: an edit could come between an only
    404 and the word about it, and the pass after that would rightly find everything there.
    """
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    id_ = scene.remote_id
    scene.go_wrong("hide", lists(scene.kind), forever=True)
    how = {"once": {"count": 1}, "3-times": {"count": 3}}.get(often, {"forever": True})
    missing = scene.go_wrong("not-found", gets(scene.kind), **how)
    missed = says("Ready", "Unknown", "RemoteMissing")
    yield scene.until("Unknown: missing", lambda: any(missed(version) for version in scene.versions_so_far()))
    scene.heal(missing)
    yield from ends_well(scene, NOTHING)
    require(scene.remote_id in (None, id_), "I6", "it was made anew", Harm.DUPLICATED)


def missing_for_ever(scene: Scene, *, policy: str) -> Story:
    """Beyond the grace it is lost: a build is made anew, a deployment only where the user wants that."""
    scene.open()
    scene.apply(*_with_policy(scene, policy))
    yield scene.becomes(ready, "Ready")
    lose(scene)
    look_again(scene)
    yield from made_anew_or_told(scene, policy, "DeletedExternally")


def _with_policy(scene: Scene, policy: str) -> tuple[Object, ...]:
    *before, resource = a_resource(scene)
    if scene.kind == "AgentDeployment":
        resource["spec"]["onExternalChange"] = policy
    return (*before, resource)


def lose(scene: Scene) -> None:
    """The record on record vanishes, whoever asks for it."""
    actor = "delete-build" if scene.kind == "AgentBuild" else "delete-deployment"
    id_ = str(scene.remote_id)
    scene.world.simulator.actor(actor, id=id_)
    scene.set_the_scene("hide", lists(scene.kind), ids=[id_], forever=True)
    scene.set_the_scene("not-found", {**gets(scene.kind), "id": id_}, forever=True)


def made_anew_or_told(scene: Scene, policy: str, reason: str) -> Story:
    """A build, and a deployment to be corrected, are made anew; otherwise it is said what happened."""
    if scene.kind == "AgentBuild" or policy == "Correct":
        lost, scene.creates = scene.remote_id, 2
        yield scene.until("another on record", lambda: scene.remote_id not in (None, lost))
        return (yield from ends_well(scene, NOTHING))
    yield scene.becomes(stalled(reason), f"Stalled: {reason}")
    return (yield from ends(scene, NOTHING))


# --- ids of others --------------------------------------------------------------------------------------------------


def _of_others(kind: str) -> Rows:
    for by in SEEN_BY:
        for policy in ("Report", "Correct") if kind == "AgentDeployment" else ("Report",):
            yield f"an-id-given-to-another/{by}-*/{policy.lower()}", partial(given_away, by=by, policy=policy)
        yield f"an-id-given-to-another/{by}-*/deleted", partial(given_away_and_deleted, by=by)
    yield "answered-with-anothers-id/post-*/once", answered_with_anothers


def given_away(scene: Scene, *, by: str, policy: str) -> Story:
    """The id on record names another's object: ours is lost, and the other's is never touched."""
    scene.open()
    scene.apply(*_with_policy(scene, policy))
    yield scene.becomes(ready, "Ready")
    id_ = give_away(scene, by)
    look_again(scene)
    yield from made_anew_or_told(scene, policy, "DeletedExternally")
    leaves_alone(scene, id_)


def given_away_and_deleted(scene: Scene, *, by: str) -> Story:
    """While it runs, its id becomes another's; the deletion must not stop the other's."""
    scene.open()
    scene.apply(*a_resource(scene, STUCK))
    yield scene.until("something that lives", lambda: scene.remotes and scene.remote_id)
    id_ = give_away(scene, by)
    yield scene.passes(1.1)  # a deletion's time is in whole seconds: a listing of before must not count as one of after
    scene.delete()
    yield from ends(scene, NOTHING)
    leaves_alone(scene, id_)


def give_away(scene: Scene, by: str) -> str:
    id_ = str(scene.remote_id)
    if by == "get":  # this one alone: what is made anew may get no answer in time, and is then found in a listing
        scene.set_the_scene("hide", lists(scene.kind), ids=[id_], forever=True)
    scene.world.simulator.actor("give-away", id=id_)
    scene.settled.add(id_)
    return id_


def leaves_alone(scene: Scene, id_: str) -> None:
    """Nothing was asked of this id but to be shown (I4)."""
    asked = (one for one in scene.calls() if id_ in one["path"])
    touched = [f"{one['method']} {one['path']}" for one in asked if one["method"] != "GET"]
    require(not touched, "I4", f"{id_} is another's, and {touched} was asked of it", Harm.WRONGLY_DELETED)


def answered_with_anothers(scene: Scene) -> Story:
    """The create is answered with the record of somebody else."""
    scene.open()
    another = crowd(scene)[-1]
    scene.creates, scene.ambiguous = 2, 1
    scene.go_wrong("id", {"method": "POST", "path": TO_COLLECTIONS[scene.kind]}, value=another)
    scene.apply(*a_resource(scene))
    yield scene.until("one of ours on record", lambda: ready(scene.resource) and scene.remote_id in ours(scene))
    scene.settled |= ours(scene) - {scene.remote_id} if scene.kind == "AgentBuild" else set()
    yield from ends_well(scene, NOTHING)
    leaves_alone(scene, another)


def ours(scene: Scene) -> set[str | None]:
    return {one["id"] for one in scene.remotes}


# --- lists ----------------------------------------------------------------------------------------------------------

SMALL = {"kind": "page-size", "items": 2, "forever": True}
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


def in_a_crowd(scene: Scene, *, fault: Mapping[str, Any], often: str) -> Story:
    """Lists of many small pages, most of them about others, go wrong."""
    scene.open()
    crowd(scene)
    scene.set_the_scene(match=lists(scene.kind), **SMALL)
    narrow = lists(scene.kind)
    if fault["kind"] == "status":
        narrow = {**narrow, "query": {**narrow["query"], "sort_by": "."}}
    how = {"forever": True} if often == "for-a-while" else OFTEN[often]
    wrong = scene.go_wrong(match=narrow, **{**fault, **how})
    scene.apply(*a_resource(scene))
    yield scene.is_hit(wrong)
    crowd(scene, "later")
    if often == "for-a-while":
        yield scene.passes(3)
        scene.heal(wrong)
    yield from ends_well(scene, NOTHING)


def pages_without_end(scene: Scene) -> Story:
    """Every page leads to another one, with records never seen before: a listing ends all the same."""
    scene.open()
    crowd(scene)
    scene.herded = 2 * MOST_PAGES
    endless = scene.go_wrong("endless", lists(scene.kind), forever=True)
    scene.apply(*a_resource(scene))
    yield scene.is_hit(endless, 50)
    scene.heal(endless)
    yield from ends_well(scene, NOTHING)


MOST_PAGES = 2000


def archived(scene: Scene, *, kind: str) -> Story:
    """Somebody archives it: no list shows it any more, and a GET does."""
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    actor = "archive-build" if kind == "AgentBuild" else "archive-deployment"
    scene.world.simulator.actor(actor, id=scene.remote_id)
    look_again(scene)
    yield scene.until("the look that was asked for", lambda: scene.status.get("lastHandledReconcileAt") == "now")
    yield from ends_well(scene, NOTHING)


def crowd(scene: Scene, name: str = "others") -> list[str]:
    """Three records of somebody else in the same account, of the scene's kind; their ids."""
    key = {"x-api-key": scene.key, "x-selected-account-id": scene.account}
    with httpx.Client(base_url=scene.world.simulator.url, headers=key, trust_env=False) as http:
        builds = {f"{name}-{number}": _registered(http, f"{name}-{number}") for number in range(3)}
        if scene.kind == "AgentBuild":
            return list(builds.values())
        return [_deployed(http, agent, build) for agent, build in builds.items()]


def _registered(http: httpx.Client, agent: str) -> str:
    fields = {"image_name": agent, "image_tag": "1", "agent_name": agent, "image_url": f"elsewhere.invalid/{agent}:1"}
    parts = {name: (None, text) for name, text in fields.items()}
    return str(http.post("/v5/builds", files=parts).raise_for_status().json()["id"])


def _deployed(http: httpx.Client, agent: str, build: str) -> str:
    body = {"manifest_file": a_manifest(agent), "environment_config": ENVIRONMENTS, "build_id": build}
    return str(http.post("/v5/agentex/deployments", json=body).raise_for_status().json()["id"])
