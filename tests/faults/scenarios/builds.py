"""What users do with AgentBuilds: apply, edit, cancel, delete, recreate."""

from __future__ import annotations

import random
from functools import cache

from tests.faults.runner.reusable_fixture import ReusableFixture
from tests.faults.scenarios.scenario import BUILD, building, on_record, wait, written_down

from agentex_testkit.api_server import Object, gone, ready, stalled
from agentex_testkit.builders import (
    DOCKERFILE,
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_manifest,
    a_secret,
    an_account,
    an_archive,
    an_image,
)

ANOTHER = {"buildArgs": [{"name": "ANOTHER", "value": "1"}]}
MEGABYTE = 1_000_000


def a_build_runs(world: ReusableFixture) -> None:
    world.apply(a_context("quote", STUCK), a_build("quote"))
    wait(world, BUILD, "quote", lambda obj: building(obj) and on_record(BUILD)(obj))


def a_build_succeeds(world: ReusableFixture) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote")


def a_build_fails(world: ReusableFixture) -> None:
    world.apply(a_context("quote", FAILING), a_build("quote"))
    wait(world, BUILD, "quote", stalled("BuildFailed"))


def a_tag_is_pinned(world: ReusableFixture) -> None:
    world.apply(a_context("quote"), a_build("quote", image={"name": "quote", "tag": "v1"}))
    wait(world, BUILD, "quote")


def an_image_is_registered(world: ReusableFixture) -> None:
    world.apply(an_image("quote"))
    wait(world, BUILD, "quote")


def edited_while_queued(world: ReusableFixture) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", on_record(BUILD))
    world.apply(a_build("quote", **ANOTHER))
    wait(world, BUILD, "quote")


def edited_while_running(world: ReusableFixture) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", **ANOTHER))
    the_next_one_succeeds(world)


def the_next_one_succeeds(world: ReusableFixture) -> None:
    """Wait until the build of the edit runs, and let it succeed."""
    wait(world, BUILD, "quote", lambda obj: building(obj) and on_record(BUILD)(obj) and _attempt(obj) > 1)
    world.simulator.actor("finish-build", id=world.status(BUILD, "quote")["buildID"])
    wait(world, BUILD, "quote")


def _attempt(obj: Object | None) -> int:
    return int((obj or {})["status"]["attempt"])


def edited_when_finished(world: ReusableFixture) -> None:
    a_build_succeeds(world)
    world.apply(a_build("quote", **ANOTHER))
    wait(world, BUILD, "quote")


def the_context_changes(world: ReusableFixture) -> None:
    a_build_succeeds(world)
    before = world.status(BUILD, "quote")["inputsDigest"]
    world.apply(a_context("quote", f"{DOCKERFILE}RUN more\n"))
    wait(world, BUILD, "quote", lambda obj: ready(obj) and (obj or {})["status"]["inputsDigest"] != before)


def cancelled(world: ReusableFixture) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", cancel=True))
    wait(world, BUILD, "quote", stalled("Cancelled"))


def deleted_at_once(world: ReusableFixture) -> None:
    world.apply(a_context("quote", STUCK), a_build("quote"))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_creating(world: ReusableFixture) -> None:
    world.simulator.fault("slow", match={"method": "POST", "path": "/v5/builds"}, header_delay=0.7)
    world.apply(a_context("quote", STUCK), a_build("quote"))
    wait(world, BUILD, "quote", written_down)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_queued(world: ReusableFixture) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", on_record(BUILD))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_running(world: ReusableFixture) -> None:
    a_build_runs(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_when_finished(world: ReusableFixture) -> None:
    a_build_succeeds(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_cancelling(world: ReusableFixture) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", cancel=True))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def recreated(world: ReusableFixture) -> None:
    a_build_runs(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)
    a_build_runs(world)


def the_name_is_taken(world: ReusableFixture) -> None:
    world.simulator.actor("take-name", account="acct-1", name="quote", build=True)
    a_build_succeeds(world)


def the_name_is_taken_invisibly(world: ReusableFixture) -> None:
    world.simulator.actor("take-name", account="acct-1", name="quote")
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", stalled("AgentNameTaken"))


def the_key_is_rotated(world: ReusableFixture) -> None:
    a_build_runs(world)
    world.simulator.set_keys("acct-1", "key-2")
    world.apply(a_secret(key="key-2"))
    world.apply(a_build("quote", **ANOTHER))
    the_next_one_succeeds(world)


def an_account_is_made(world: ReusableFixture) -> None:
    world.delete("AgentexAccount", "default")
    wait(world, "AgentexAccount", "default", gone)
    world.apply(an_account(world.endpoint), an_image("quote"))
    wait(world, "AgentexAccount", "default")
    wait(world, BUILD, "quote")


@cache
def five_megabytes() -> bytes:
    """A context of five megabytes that cannot be compressed; always the same bytes."""
    filler = random.Random(5).randbytes(5 * MEGABYTE).decode("latin-1")  # noqa: S311 - the same every time
    return an_archive({"Dockerfile": DOCKERFILE, "manifest.yaml": a_manifest("quote"), "project/filler": filler})


def five_megabytes_are_sent(world: ReusableFixture) -> None:
    world.apply(a_build("quote", source=world.sources.serve("/five", five_megabytes())))
    wait(world, BUILD, "quote")
