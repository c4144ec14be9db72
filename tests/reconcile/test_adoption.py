"""Restored and adopting resources, by what they leave in the account: one remote object, and one holder of it."""

from __future__ import annotations

from typing import Any

import pytest

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, Kind
from agentex_testkit import ledger
from agentex_testkit.api_server import Object, condition, gone, ready, stalled
from agentex_testkit.builders import STUCK, a_build, a_context, a_deployment, a_preview, an_image
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import TEAM, Harness

MAKERS = {"build": an_image, "production": a_deployment, "preview": a_preview}
KIND: dict[str, Kind] = {"build": AGENT_BUILD, "production": AGENT_DEPLOYMENT, "preview": AGENT_DEPLOYMENT}
MEMBER = {"build": "buildID", "production": "deploymentID", "preview": "deploymentID"}
POSTS = {"build": "/v5/builds", "production": "/v5/agentex/deployments", "preview": "/v5/agentex/deployments"}
KINDS = pytest.mark.parametrize("sort", MAKERS)


class Restore:
    """One resource of a sort that is deleted by force and comes back from its backup."""

    def __init__(self, harness: Harness, sort: str) -> None:
        self.harness, self.sort, self.kind = harness, sort, KIND[sort].kind
        self.backup: Object = {}

    async def made(self) -> str:
        """Have the resource Ready, keep its backup, and return the id of its remote object."""
        if self.sort != "build":
            self.harness.apply(an_image())
            await self.harness.wait("AgentBuild", "quote")
        self.harness.apply(MAKERS[self.sort]())
        self.backup = await self.harness.wait(self.kind, "quote")
        return str(self.backup["status"][MEMBER[self.sort]])

    def lose(self) -> None:
        """Delete the resource by force: its finalizer is removed, and the remote object stays."""
        self.harness.edit(self.kind, "quote", metadata={"finalizers": []})
        self.harness.delete(self.kind, "quote")

    async def left_behind(self) -> str:
        """Have the resource Ready, then lose it; the id of the remote object that it leaves behind."""
        id_ = await self.made()
        self.lose()
        return id_

    def again(self, name: str = "quote", **spec: Any) -> Object:
        """Create the resource from its backup, without a status, as the API server does."""
        obj = MAKERS[self.sort]()
        return self.harness.apply({**obj, "metadata": {"name": name}, "spec": {**obj["spec"], **spec}})

    def write_back(self, name: str = "quote") -> None:
        """Write the status of the backup, as `velero restore` does."""
        self.harness.edit(self.kind, name, status=self.backup["status"])

    async def restored(self, how: str, id_: str, name: str = "quote") -> None:
        """Restore it with its status, or with spec.adopt; the operator sees both at once."""
        if how == "adopt":
            self.again(name, adopt={MEMBER[self.sort]: id_})
            return
        self.harness.cluster.watch.hold()
        self.again(name)
        self.write_back(name)
        self.harness.cluster.watch.release()

    def recorded(self, name: str = "quote") -> object:
        return self.harness.status(self.kind, name).get(MEMBER[self.sort])

    @property
    def posts(self) -> int:
        calls = self.harness.simulator.calls()
        return sum(call["method"] == "POST" and call["path"] == POSTS[self.sort] for call in calls)

    @property
    def living(self) -> list[str]:
        state = self.harness.simulator.state()
        found = state["builds"] if self.sort == "build" else state["deployments"]
        return [one["id"] for one in found if self.sort == "build" or ledger.is_alive(one)]


@KINDS
@pytest.mark.parametrize("how", ["status", "adopt"])
async def test_a_restored_resource_takes_its_object_over(harness: Harness, sort: str, how: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    await restore.restored(how, id_)

    await harness.wait(restore.kind, "quote")

    assert (restore.recorded(), restore.posts, restore.living) == (id_, 1, [id_])


@pytest.mark.parametrize("sort", ["production", "preview"])
async def test_a_take_over_sees_at_once_that_its_object_is_gone(harness: Harness, sort: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    harness.simulator.actor("delete-deployment", id=id_)
    await harness.advance(1)

    await restore.restored("status", id_)
    await harness.settled()

    assert restore.recorded() == id_
    assert not ready(harness.get(restore.kind, "quote"))


@pytest.mark.parametrize("sort", ["production", "preview"])
@pytest.mark.parametrize("how", ["status", "adopt"])
async def test_what_was_taken_over_goes_with_its_resource(harness: Harness, sort: str, how: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    await restore.restored(how, id_)
    await harness.wait(restore.kind, "quote")

    harness.delete(restore.kind, "quote")
    await harness.wait(restore.kind, "quote", gone)

    assert restore.living == []


async def test_a_running_build_that_was_taken_over_is_followed_to_its_end(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    await harness.until(lambda: harness.status("AgentBuild", "quote").get("buildID"))
    id_ = harness.status("AgentBuild", "quote")["buildID"]
    harness.edit("AgentBuild", "quote", metadata={"finalizers": []})
    harness.delete("AgentBuild", "quote")
    harness.apply(a_build(adopt={"buildID": id_}))

    found = await harness.wait("AgentBuild", "quote")

    assert (found["status"]["buildID"], len(harness.simulator.state()["builds"])) == (id_, 1)


async def test_a_stuck_build_that_was_taken_over_is_cancelled_with_its_resource(harness: Harness) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build())
    await harness.until(lambda: harness.status("AgentBuild", "quote").get("buildID"))
    id_ = harness.status("AgentBuild", "quote")["buildID"]
    harness.edit("AgentBuild", "quote", metadata={"finalizers": []})
    harness.delete("AgentBuild", "quote")
    harness.apply(a_build(adopt={"buildID": id_}))
    await harness.until(lambda: harness.status("AgentBuild", "quote").get("buildID") == id_)

    harness.delete("AgentBuild", "quote")
    await harness.wait("AgentBuild", "quote", gone)

    assert [one["status"] for one in harness.simulator.state()["builds"]] == ["cancelled"]


@pytest.mark.parametrize("sort", ["production", "preview"])
@pytest.mark.parametrize("how", ["status", "adopt"])
async def test_a_changed_spec_replaces_what_was_taken_over(harness: Harness, sort: str, how: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    await restore.restored(how, id_)
    await harness.wait(restore.kind, "quote")

    harness.edit(restore.kind, "quote", spec={"environment": "dev"})
    await harness.until(lambda: restore.recorded() != id_ and len(restore.living) == 1)
    await harness.wait(restore.kind, "quote")

    assert (restore.posts, restore.living) == (2, [restore.recorded()])


@pytest.mark.parametrize("sort", ["production", "preview"])
async def test_a_status_that_is_written_back_later_leaves_one_object(harness: Harness, sort: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    restore.again()
    await harness.wait(restore.kind, "quote")

    restore.write_back()
    await harness.advance(120)
    await harness.wait(restore.kind, "quote")

    assert (restore.posts, restore.living) == (2, [restore.recorded()])
    assert sort == "production" or restore.recorded() == id_


@KINDS
async def test_a_restart_keeps_what_was_taken_over(make_harness: Any, sort: str) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        restore = Restore(harness, sort)
        id_ = await restore.left_behind()
        await restore.restored("adopt", id_)
        await harness.wait(restore.kind, "quote")

    async with harness.running():
        harness.annotate(restore.kind, "quote", reconcile_requested_at="1")
        await harness.advance(120)
        assert ready(harness.get(restore.kind, "quote"))

    assert (restore.recorded(), restore.posts) == (id_, 1)


@KINDS
@pytest.mark.parametrize("how", ["status", "adopt"])
async def test_a_copy_beside_the_living_holder_is_refused(harness: Harness, sort: str, how: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.made()
    await restore.restored(how, id_, "copy")

    found = await harness.wait(restore.kind, "copy", stalled("AdoptionTargetHeld"))
    assert f"{restore.kind} {TEAM}/quote holds" in condition(found, "Stalled")["message"]
    harness.delete(restore.kind, "copy")
    await harness.wait(restore.kind, "copy", gone)

    assert (restore.posts, restore.living) == (1, [id_])


@KINDS
@pytest.mark.parametrize("how", ["status", "adopt"])
async def test_of_two_resources_that_name_one_object_one_holds_it(harness: Harness, sort: str, how: str) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    harness.cluster.watch.hold()
    for name in ("one", "two"):
        restore.again(name, **({"adopt": {MEMBER[sort]: id_}} if how == "adopt" else {}))
        if how == "status":
            restore.write_back(name)
    harness.cluster.watch.release()
    await harness.advance(120)

    found = {name: harness.get(restore.kind, name) for name in ("one", "two")}
    (holder,) = [name for name, obj in found.items() if ready(obj)]
    (other,) = {"one", "two"} - {holder}
    message = condition(found[other], "Stalled")["message"]
    assert f"{restore.kind} {TEAM}/{holder} holds" in message
    harness.delete(restore.kind, other)
    await harness.wait(restore.kind, other, gone)
    assert (restore.posts, restore.living) == (1, [id_])


@pytest.mark.exhaustive
@KINDS
@pytest.mark.parametrize("skip", range(6))
@pytest.mark.parametrize("effect", [True, False])
async def test_a_lost_write_takes_the_object_over_once(harness: Harness, sort: str, skip: int, effect: bool) -> None:
    restore = Restore(harness, sort)
    id_ = await restore.left_behind()
    harness.cluster.fail(Fault("patch_status", KIND[sort], error=Unavailable("lost"), effect=effect, skip=skip))
    await restore.restored("adopt", id_)
    await harness.advance(60)
    await harness.wait(restore.kind, "quote")

    assert (restore.recorded(), restore.posts, restore.living) == (id_, 1, [id_])


async def test_an_adoption_waits_while_the_remote_does_not_answer(harness: Harness) -> None:
    restore = Restore(harness, "build")
    id_ = await restore.left_behind()
    harness.simulator.fault("status", match={"method": "GET", "path": f"/v5/builds/{id_}"}, status=503, count=5)
    await restore.restored("adopt", id_)
    await harness.settled()
    assert (restore.recorded(), restore.posts) == (None, 1)

    await harness.wait("AgentBuild", "quote")
    assert (restore.recorded(), restore.posts) == (id_, 1)


async def test_spec_adopt_of_another_agents_deployment_is_refused(harness: Harness) -> None:
    restore = Restore(harness, "production")
    id_ = await restore.made()
    harness.apply(an_image("other"))
    await harness.wait("AgentBuild", "other")
    harness.edit("AgentDeployment", "quote", spec={"deletionPolicy": "Orphan"})
    harness.delete("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "quote", gone)
    harness.apply(a_deployment("other", adopt={"deploymentID": id_}))

    await harness.wait("AgentDeployment", "other", stalled("AdoptionTargetMismatch"))
    assert restore.posts == 1

    harness.edit("AgentDeployment", "other", spec={"adopt": None})
    await harness.wait("AgentDeployment", "other")
    assert restore.posts == 2
