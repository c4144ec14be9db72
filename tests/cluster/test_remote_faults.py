"""A remote that lies, breaks off and forgets: at the end there is exactly one of everything, and it is Ready.

Every scenario has an account of its own, so that all of them go wrong at the same time in one operator. The remote's
ledger judges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from agentex_testkit.api_server import Object, condition, eventually, gone, handled, ready, says
from agentex_testkit.builders import (
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_secret,
    an_account,
    an_image,
)
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.hostile import SourceServer
from agentex_testkit.judge.invariants import faults_of

PATHS = {"AgentBuild": "/v5/builds", "AgentDeployment": "/v5/agentex/deployments"}
KINDS = tuple(PATHS)
Script = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One account in which one thing goes wrong with one resource of this kind. `creates`: how many it explains."""

    name: str
    kind: str
    faults: tuple[Script, ...]
    creates: int = 1

    @property
    def account(self) -> str:
        return f"acct-{self.name}"

    def script(self, world: ClusterFixture, elsewhere: SourceServer | None = None) -> None:
        """Open the account, and have everything go wrong in it; redirects lead elsewhere."""
        world.simulator.set_keys(self.account, f"key-{self.name}")
        for fault in self.faults:
            where: Script = {"location": f"http://{elsewhere.host}/v5/builds"} if elsewhere else {}
            go_wrong(world, self, **fault, **(where if fault["kind"] == "redirect" else {}))

    def apply(self, world: ClusterFixture) -> None:
        """The account, and the resource; a deployment deploys a registered image."""
        ref = {"accountRef": {"name": self.name}}
        key = {"name": self.name, "key": "api-key"}
        account = an_account(world.endpoint, self.name, accountID=self.account, apiKeySecretRef=key)
        context, build = a_context(self.name), a_build(self.name, **ref)
        manifest = {"inline": a_manifest(self.name)}
        deployed = an_image(self.name, **ref), a_deployment(self.name, manifest=manifest, **ref)
        world.apply(a_secret(self.name, f"key-{self.name}"), account)
        world.apply(*((context, build) if self.kind == "AgentBuild" else deployed))

    def wait(
        self, world: ClusterFixture, until: Callable[[Object | None], bool] = ready, seconds: float = 100
    ) -> Object:
        """The resource, as soon as it is so."""
        return world.wait(self.kind, self.name, until, seconds)

    def remote_id(self, world: ClusterFixture) -> str:
        """The id on record."""
        return str(world.status(self.kind, self.name)["buildID" if self.kind == "AgentBuild" else "deploymentID"])

    def calls(self, world: ClusterFixture) -> list[Object]:
        """What was asked of this account, oldest first."""
        return [one for one in world.simulator.calls() if one["account"] == self.account]


def go_wrong(world: ClusterFixture, scenario: Scenario, *, kind: str, match: Script | None = None, **how: Any) -> str:
    """Script a fault in the scenario's account; its id."""
    return world.simulator.fault(kind, match={"account": scenario.account, **(match or {})}, **how)


def slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def on(method: str, kind: str = "") -> Script:
    """The calls of this method to the collection of this kind."""
    return {"method": method, **({"path": PATHS[kind]} if kind else {})}


# --- create ---------------------------------------------------------------------------------------------------------

AT_CREATE: dict[str, Script] = {
    "the answer is reset": {"kind": "commit-then-drop-response"},
    "the answer is cut": {"kind": "commit-then-drop-response", "how": "fin"},
    "done and then 500": {"kind": "commit-then-500"},
    "done and then 409": {"kind": "commit-then-500", "status": 409},
    "cut before": {"kind": "drop-before-commit"},
    "cut after the body": {"kind": "drop-before-commit", "after_body": True},
    "done a second late": {"kind": "delayed-commit", "delay": 1},
    "half an answer": {"kind": "truncated"},
    "a wrong length": {"kind": "wrong-content-length"},
    "no answer in it": {"kind": "empty-body"},
    "a page of a proxy": {"kind": "html-502"},
    "a page that looks well": {"kind": "html-502", "status": 200},
    "a conflict": {"kind": "status", "status": 409},
    "a pause in seconds": {"kind": "throttle", "retry_after": "2"},
    "a pause in garbage": {"kind": "throttle", "retry_after": "soon"},
    "three 503": {"kind": "status", "status": 503, "count": 3},
    "no id": {"kind": "id", "missing": True},
    "a null id": {"kind": "id"},
    "an endless id": {"kind": "id", "length": 10_000},
    "an id that climbs": {"kind": "id", "value": "../secrets"},
}
LATE = {"kind": "delayed-commit", "delay": 4}  # later than the operator waits (2 s): a second one is made, and removed

# --- look -----------------------------------------------------------------------------------------------------------

ALWAYS: Script = {"forever": True}
AT_LOOK: dict[str, tuple[Script, ...]] = {
    "lists that say there is more": ({"kind": "has-more", **ALWAYS},),
    "lists that say there is no more": ({"kind": "has-more", "value": False, **ALWAYS},),
    "lists that repeat": ({"kind": "has-more", "repeat": True, **ALWAYS},),
    "lists that overlap": ({"kind": "overlap", **ALWAYS},),
    "lists that lag": ({"kind": "stale-list", "seconds": 5, **ALWAYS},),
    "lists that lag and a lost answer": ({"kind": "stale-list", "seconds": 1, **ALWAYS},
                                         {"kind": "commit-then-drop-response", "at": "POST"}),
    "lists that ignore what is asked": ({"kind": "filter-ignored", **ALWAYS},),
    "lists that lose the cursor": ({"kind": "has-more", **ALWAYS}, {"kind": "cursor-400", "count": 2}),
    "lists without ids": ({"kind": "id", "missing": True, "at": "GET", "count": 2},),
    "lists without agents": ({"kind": "null-agent-id", "at": "GET", **ALWAYS},),
    "half a list": ({"kind": "truncated", "at": "GET", "count": 3},),
    "no list": ({"kind": "outage", "at": "GET", "count": 3},),
    "no connection for a list": ({"kind": "outage", "mode": "rst", "at": "GET", "count": 3},),
    "a pause for a list": ({"kind": "throttle", "retry_after": "1", "at": "GET"},),
    "words in capitals": ({"kind": "status-words", "case": "upper", **ALWAYS},),
    "words in small letters": ({"kind": "status-words", "case": "lower", **ALWAYS},),
    "words of the other vocabulary": ({"kind": "status-words", "map": {"HEALTHY": "completed"}, **ALWAYS},),
}


def located(fault: Script, kind: str) -> Script:
    """A fault at the calls it names by `at`."""
    rest = {key: value for key, value in fault.items() if key != "at"}
    return {**rest, "match": on(fault["at"], kind)} if "at" in fault else rest


def scenarios() -> Iterator[Scenario]:
    """All that need nothing but time."""
    for kind in KINDS:
        letter = kind[5].lower()
        for words, fault in AT_CREATE.items():
            yield Scenario(f"{letter}-{slug(words)}", kind, ({**fault, "match": on("POST", kind)},))
        for words, faults in AT_LOOK.items():
            yield Scenario(f"{letter}-{slug(words)}", kind, tuple(located(one, kind) for one in faults))
        yield Scenario(f"{letter}-late", kind, ({**LATE, "match": on("POST", kind)},), creates=2)


ALL = {one.name: one for one in scenarios()}

PROBED = {one.name: one for one in (  # a refused key is tried again every minute
    Scenario(f"{kind[5].lower()}-refused-key", kind, ({"kind": "unauthorized", "match": on("POST", kind)},))
    for kind in KINDS)}
REDIRECTED = {one.name: one for one in (
    Scenario(f"{kind[5].lower()}-redirect-{status}", kind, ({"kind": "redirect", "status": status, "count": 2,
                                                           "match": on("POST", kind)},))
    for kind in KINDS for status in (301, 302, 307, 308))}

# --- the stage ------------------------------------------------------------------------------------------------------

WORLD = {"time_scale": 20, "flags": ("--workers=64",)}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[SourceServer]:
    """Where redirects lead."""
    with SourceServer() as depot:
        yield depot


@pytest.fixture(scope="module")
def trouble(module_world: ClusterFixture, elsewhere: SourceServer) -> ClusterFixture:
    """Everything goes wrong at once."""
    for one in (*ALL.values(), *PROBED.values(), *REDIRECTED.values()):
        one.script(module_world, elsewhere)
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda one: one.apply(module_world), [*PROBED.values(), *REDIRECTED.values(), *ALL.values()]))
    return module_world


def require_one(world: ClusterFixture, one: Scenario) -> None:
    """Exactly one lives, it is the one on record, and there were no more creates than are explained."""
    remotes = [it for it in world.remotes(one.kind, one.name) if is_over(it) is False]
    assert [it["id"] for it in remotes] == [one.remote_id(world)]
    assert world.creates(one.kind, one.name) <= one.creates
    versions = world.versions(one.kind, one.name)
    assert [fault for version in versions for fault in faults_of(version)] == []


def is_over(remote: Object) -> bool:
    return remote["status"] in {"cancelled", "deleted", "superseded"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ALL)
def test_there_is_exactly_one_and_it_is_ready(trouble: ClusterFixture, name: str) -> None:
    one = ALL[name]
    one.wait(trouble)

    eventually(lambda: len([it for it in trouble.remotes(one.kind, one.name) if not is_over(it)]), lambda n: n == 1)
    require_one(trouble, one)


# --- create, in steps -----------------------------------------------------------------------------------------------


@pytest.fixture
def begin(trouble: ClusterFixture) -> Callable[..., Scenario]:
    """Begin a further scenario."""

    def begin(name: str, kind: str, *faults: Script, creates: int = 1) -> Scenario:
        one = Scenario(name, kind, faults, creates)
        one.script(trouble)
        one.apply(trouble)
        return one

    return begin


Begin = Callable[..., Scenario]


@pytest.mark.parametrize("name", REDIRECTED)
def test_a_redirect_is_not_followed_and_the_key_stays_at_home(
    trouble: ClusterFixture, elsewhere: SourceServer, name: str
) -> None:
    one = REDIRECTED[name]
    one.wait(trouble)

    assert elsewhere.asked == []
    require_one(trouble, one)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pause_that_was_asked_for_is_kept(trouble: ClusterFixture, kind: str) -> None:
    one = ALL[f"{kind[5].lower()}-a-pause-in-seconds"]
    one.wait(trouble)

    calls = one.calls(trouble)
    (throttled,) = [call for call in calls if call["status"] == 429]
    after = [call["elapsed"] - throttled["elapsed"] for call in calls if call["seq"] > throttled["seq"]]
    sent_before_the_answer_was_read = [delay for delay in after if delay < 2]  # seconds, as the answer asked for
    assert len(sent_before_the_answer_was_read) <= 1
    assert len(after) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_in_the_secret_heals_a_locked_account(trouble: ClusterFixture, begin: Begin, kind: str) -> None:
    one = begin(f"locked-{kind[5:].lower()}", kind, {"kind": "unauthorized", "match": on("POST", kind)})
    one.wait(trouble, says("Ready", "False"))
    another = f"another-key-of-{one.name}"  # a key opens one account
    trouble.simulator.set_keys(one.account, another)
    trouble.apply(a_secret(one.name, another))

    one.wait(trouble)
    require_one(trouble, one)


# --- known ids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_id_that_is_missing_once_is_kept(trouble: ClusterFixture, begin: Begin, kind: str) -> None:
    one = begin(f"missing-{kind[5:].lower()}", kind)
    one.wait(trouble)
    id_ = one.remote_id(trouble)
    hidden = go_wrong(trouble, one, kind="hide", ids=[id_], forever=True)
    go_wrong(trouble, one, kind="not-found", match={"id": id_})
    missed = says("Ready", "Unknown", "RemoteMissing")
    eventually(lambda: [missed(version) for version in trouble.versions(one.kind, one.name)], any)
    trouble.simulator.clear_faults(hidden)

    one.wait(trouble)
    assert one.remote_id(trouble) == id_
    require_one(trouble, one)


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_leaves_what_is_ready_as_it_is(trouble: ClusterFixture, begin: Begin, kind: str) -> None:
    one = begin(f"outage-{kind[5:].lower()}", kind)
    before = one.wait(trouble)
    seen = len(one.calls(trouble))
    out = go_wrong(trouble, one, kind="outage", forever=True)
    trouble.annotate(one.kind, one.name, reconcile_requested_at="now")
    eventually(lambda: len(one.calls(trouble)) - seen, lambda failed: failed >= 3)

    during = trouble.get(one.kind, one.name)
    assert condition(during, "Ready") == condition(before, "Ready")
    trouble.simulator.clear_faults(out)
    one.wait(trouble, handled("now"))
    require_one(trouble, one)


@pytest.mark.parametrize(("kind", "word"), [("AgentBuild", "running"), ("AgentDeployment", "IN_PROGRESS")])
def test_a_status_that_goes_backwards_makes_nothing_anew(
    trouble: ClusterFixture, begin: Begin, kind: str, word: str
) -> None:
    one = begin(f"backwards-{kind[5:].lower()}", kind)
    one.wait(trouble)
    id_, seen = one.remote_id(trouble), len(one.calls(trouble))
    trouble.simulator.actor("set-status", id=id_, status=word)
    trouble.annotate(one.kind, one.name, reconcile_requested_at="then")
    eventually(lambda: len(one.calls(trouble)), lambda calls: calls > seen)
    trouble.simulator.actor("set-status", id=id_)

    one.wait(trouble)
    assert one.remote_id(trouble) == id_
    require_one(trouble, one)


# --- removal --------------------------------------------------------------------------------------------------------


def test_a_teardown_that_fails_is_asked_for_again(trouble: ClusterFixture, begin: Begin) -> None:
    one = begin("teardown", "AgentDeployment", {"kind": "teardown-failure", "count": 2})
    one.wait(trouble)
    trouble.delete(one.kind, one.name)

    one.wait(trouble, gone)
    (remote,) = trouble.remotes(one.kind, one.name)
    assert remote["status"] == "deleted"


@pytest.mark.parametrize("fault", [{"kind": "cancel-ignored"}, {"kind": "html-502", "match": {"method": "POST"}},
                                   {"kind": "commit-then-drop-response", "match": {"method": "POST"}}],
                         ids=["ignored", "lost before", "lost after"])
def test_a_cancel_that_came_to_nothing_is_asked_for_again(trouble: ClusterFixture, begin: Begin, fault: Script) -> None:
    one = begin(f"cancel-{fault['kind']}", "AgentBuild")
    trouble.apply(a_context(one.name, STUCK))
    one.wait(trouble, lambda obj: bool(obj and obj["status"].get("buildID")))
    go_wrong(trouble, one, **fault)
    trouble.delete(one.kind, one.name)

    one.wait(trouble, gone)
    assert trouble.living(one.kind, one.name) == []


# --- at last --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBED)
def test_a_key_that_is_accepted_again_is_found_by_a_probe(trouble: ClusterFixture, name: str) -> None:
    PROBED[name].wait(trouble)

    require_one(trouble, PROBED[name])


def test_the_operator_found_no_bug_of_its_own(trouble: ClusterFixture) -> None:
    assert trouble.operator.running
    assert "this is a bug" not in trouble.operator.log
