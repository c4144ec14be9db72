"""Rows of the fault matrix that take their time or a world of their own: keys, pauses, stalls, clocks, accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from tests.faults.remote_stage import ON_ITS_WAY, Restart, Scene, Story, require
from tests.faults.remote_walks import Trouble, a_resource, ends_well, posts, preview

from agentex_testkit.api_server import condition, ready
from agentex_testkit.builders import a_secret, an_image
from agentex_testkit.world import World

Told = tuple[str, str, Callable[[Scene], Story], str]  # what it is called, the kind, how it goes, in which setting
Walks = Mapping[str, tuple[str, Callable[[Scene, Trouble], Story]]]
UNAUTHORIZED = {"kind": "unauthorized"}
HOUR = 3600
CLOCKS = {"clock-ahead": HOUR, "clock-behind": -HOUR}
JUMPS = {"clock-jumps-ahead": HOUR, "clock-jumps-back": -HOUR}
KINDS = {"build": "AgentBuild", "deployment": "AgentDeployment", "preview": "AgentDeployment"}


def prepare(setting: str, world: World) -> None:
    """What a setting has from the beginning."""
    if setting in CLOCKS:
        world.simulator.fault("clock-skew", seconds=CLOCKS[setting])


def stories(walks: Walks) -> Iterator[Told]:
    """All of them; `walks`: by the call they lead to, the kind and the walk."""
    for at, (kind, walk) in walks.items():
        rotated = Trouble(UNAUTHORIZED, healed=True, remedy=rotates_the_key)
        yield f"401-until-the-key-is-rotated/{at}/for-a-while", kind, partial(walk, trouble=rotated), "usual"
        yield f"401-until-it-is-probed/{at}/once", kind, _patient(walk, Trouble(UNAUTHORIZED)), "refused"
        for words, pause in PAUSES.items():
            held = Trouble({"kind": "throttle", **pause}, remedy=outlives_the_pause)
            yield f"{words}/{at}/once", kind, partial(walk, trouble=held), "held"
        stalled = Trouble({"kind": "slow", "chunk": 1, "chunk_delay": 1.0}, remedy=lets_others_go_on)
        yield f"a-byte-per-second/{at}/once", kind, _patient(walk, stalled), "stalled"
    yield from _clocks()
    yield from _accounts()


PAUSES: Mapping[str, Mapping[str, Any]] = {"429-for-a-day": {"retry_after": "86400"}, "429-until-tomorrow": {
    "until": 86_400}}


def _patient(walk: Callable[[Scene, Trouble], Story], trouble: Trouble) -> Callable[[Scene], Story]:
    """With time for the operator's slowest clock: a minute to the next probe, a minute for a call."""

    def story(scene: Scene) -> Story:
        scene.patience, scene.image = 150.0, True
        return (yield from walk(scene, trouble))

    return story


# --- remedies -------------------------------------------------------------------------------------------------------


def rotates_the_key(scene: Scene, fault: str) -> Story:
    """Nothing is given up meanwhile; another key in the Secret heals it."""
    yield scene.passes(2)
    scene.world.simulator.set_keys(scene.account, f"{scene.key}-2")
    scene.heal(fault)
    scene.apply(a_secret(scene.name, f"{scene.key}-2"))


def outlives_the_pause(scene: Scene, fault: str) -> Story:
    """The account is left in peace; what another life of the operator does not know of, it asks for once."""
    yield scene.passes(2 * ON_ITS_WAY)
    calls = scene.calls()
    (said,) = [call["elapsed"] + call["seconds"] for call in calls if call["status"] == 429]
    early = [call["path"] for call in calls if call["elapsed"] > said + ON_ITS_WAY]
    require(not early, "I12", f"called before a Retry-After of a day was over: {early}")
    scene.heal(fault)
    yield Restart()


def lets_others_go_on(scene: Scene, _fault: str) -> Story:
    """While the call hangs, a resource of another account is created and becomes Ready (I13)."""
    beside = f"{scene.name[:40]}-beside"
    scene.world.apply(an_image(beside))
    yield scene.until("a resource of another account is Ready",
                      lambda: ready(scene.stage.sight.resources.get(("AgentBuild", beside))), 20)


# --- clocks ---------------------------------------------------------------------------------------------------------


def _clocks() -> Iterator[Told]:
    for noun, kind in KINDS.items():
        for setting in CLOCKS:
            for words, fault in AT_ODDS.items():
                yield f"{setting}/{noun}/{words}", kind, partial(at_another_time, noun=noun, fault=fault), setting
        for setting, seconds in JUMPS.items():
            for words, fault in AT_ODDS.items():
                story = partial(at_another_time, noun=noun, fault=fault, jump=seconds)
                yield f"{setting}/{noun}/{words}", kind, story, setting


AT_ODDS: Mapping[str, Mapping[str, Any] | None] = {
    "alone": None,
    "a-lost-answer": {"kind": "commit-then-drop-response"},
    "a-lost-call": {"kind": "drop-before-commit"},
}


def at_another_time(scene: Scene, *, noun: str, fault: Mapping[str, Any] | None, jump: int = 0) -> Story:
    """The remote's clock is an hour off, or jumps by one: nothing is ordered, aged or given up by it."""
    scene.open()
    if fault:
        scene.go_wrong(match=posts(scene.kind), **fault)
    resource = preview(scene) if noun == "preview" else a_resource(scene)
    scene.apply(*resource)
    yield scene.until("something remote", lambda: scene.remotes)
    if jump:
        scene.stage.once("jump", lambda: scene.world.simulator.fault("clock-skew", seconds=jump))
    yield from ends_well(scene, Trouble({}))


# --- accounts -------------------------------------------------------------------------------------------------------


def _accounts() -> Iterator[Told]:
    for noun in ("build", "deployment"):
        kind = KINDS[noun]
        yield f"another-account/{noun}/for-a-while", kind, another_account, "usual"
        yield f"another-account-before-its-deletion/{noun}/for-a-while", kind, another_account_and_deleted, "usual"
        yield f"no-secret/{noun}/for-a-while", kind, no_secret, "usual"
        yield f"no-tls-there/{noun}/for-a-while", kind, no_tls_there, "usual"


def another_account(scene: Scene) -> Story:
    """The account object is another account: what is in the first one is neither given up nor made there again."""
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    scene.open(account=f"{scene.account}-2")
    yield scene.until("that its account is another now", lambda: _says(scene, "AccountChanged"))
    scene.open()
    yield from ends_well(scene, Trouble({}))


def another_account_and_deleted(scene: Scene) -> Story:
    """Deleted while its account is another: it waits, for the finalizer must not go while the remote object lives."""
    scene.open()
    scene.apply(*(preview(scene) if scene.kind == "AgentDeployment" else a_resource(scene)))
    yield scene.until("something remote on record", lambda: scene.remote_id)
    scene.open(account=f"{scene.account}-2")
    scene.delete()
    yield scene.passes(3)
    alive = [one["id"] for one in scene.remotes if one["status"] not in ("deleted", "cancelled", "success")]
    require(scene.resource or not alive, "I8", f"it went, and {alive} is alive in its account")
    scene.open()
    yield from scene.leaves()


def _says(scene: Scene, *reasons: str) -> bool:
    return condition(scene.resource, "Ready").get("reason") in reasons


def no_secret(scene: Scene) -> Story:
    """The Secret goes and comes back: nothing of the resource is given up."""
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    scene.world.delete("Secret", scene.name)
    yield scene.passes(4)
    scene.apply(a_secret(scene.name, scene.key))
    yield from ends_well(scene, Trouble({}))


def no_tls_there(scene: Scene) -> Story:
    """Whoever listens at the endpoint speaks no TLS: said by the account, and healed by the right endpoint."""
    scene.open(endpoint=f"https://{scene.stage.elsewhere.host}")
    scene.apply(*a_resource(scene))
    yield scene.until("that nobody answers", lambda: _says(scene, "AccountNotReady", "RemoteUnavailable"))
    scene.open()
    yield from ends_well(scene, Trouble({}))
