"""Each call of an AgentDeployment's pass, by what it leaves in the cluster and in the account."""

from __future__ import annotations

import httpx
import pytest

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENT_DEPLOYMENT
from agentex_testkit.api_server import Object, condition, gone, ready, says, stalled
from agentex_testkit.builders import (
    DOCKERFILE,
    ENVIRONMENTS,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
    an_image,
    from_build,
)
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

DEPLOYMENTS = {"method": "POST", "path": "/v5/agentex/deployments"}


def owner(harness: Harness) -> str:
    return harness.owner("AgentDeployment", "quote")


def expired(obj: Object | None) -> bool:
    return says("Expired", "True")(obj) and (obj or {})["status"]["phase"] == "Expired"


@pytest.fixture
async def deployed(harness: Harness) -> Harness:
    """A registered image and its production deployment, Ready."""
    harness.apply(an_image(), a_deployment())
    await harness.wait("AgentDeployment", "quote")
    return harness


@pytest.fixture
async def previewed(harness: Harness) -> Harness:
    """A registered image and a preview of it that lives for ten minutes, Ready."""
    harness.apply(an_image(), a_preview(ttl="10m"))
    await harness.wait("AgentDeployment", "quote")
    return harness


def texts(manifest: str, environments: str = ENVIRONMENTS) -> Object:
    """A ConfigMap with both texts of a deployment."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"},
            "data": {"manifest.yaml": manifest, "environments.yaml": environments}}


def from_texts() -> Object:
    """A deployment that takes both texts from the ConfigMap."""
    manifest, environments = (
        {"configMapKeyRef": {"name": "texts", "key": f"{name}.yaml"}} for name in ("manifest", "environments"))
    return a_deployment(manifest=manifest, environments=environments)


async def at_the_remote(harness: Harness) -> Object:
    """The only deployment of the account, as the remote API shows it."""
    headers = {"x-api-key": "key-1", "x-selected-account-id": "acct-1"}
    async with httpx.AsyncClient(base_url=harness.simulator.url, headers=headers) as client:
        deployment, = (await client.get("/v5/agentex/deployments")).json()["items"]
    return deployment


# --- calls to the cluster -------------------------------------------------------------------------------------------


async def test_add_finalizer_comes_before_anything_remote(harness: Harness) -> None:
    harness.cluster.fail(Fault("patch", AGENT_DEPLOYMENT, error=Unavailable("away"), times=3))
    harness.apply(an_image(), a_deployment())
    await harness.settled()
    assert harness.simulator.state()["deployments"] == []

    found = await harness.wait("AgentDeployment", "quote")

    assert found["metadata"]["finalizers"] == [FINALIZER]


async def test_write_intent_that_meets_another_writer_sends_no_create(harness: Harness) -> None:
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")
    sent: list[int] = []

    def edit() -> None:
        sent.append(len(harness.simulator.state()["deployments"]))
        harness.annotate("AgentDeployment", "quote", note="1")

    harness.cluster.fail(Fault("patch_status", AGENT_DEPLOYMENT, act=edit))
    harness.apply(a_deployment())
    await harness.wait("AgentDeployment", "quote")

    assert sent == [0]
    assert harness.creates(owner(harness)) == 1


async def test_save_status_says_ready_with_the_deployment_and_announces_it(deployed: Harness) -> None:
    (remote,) = deployed.remotes(owner(deployed))
    status = deployed.status("AgentDeployment", "quote")

    assert (status["deploymentID"], status["phase"], status["agentName"]) == (remote["id"], "Ready", "quote")
    assert "Healthy" in [one["reason"] for one in deployed.cluster.events("quote")]


async def test_save_status_that_fails_is_made_up_for_and_creates_nothing_anew(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("patch_status", AGENT_DEPLOYMENT, error=Unavailable("away"), skip=2, times=2))
    harness.apply(an_image(), a_deployment())

    await harness.wait("AgentDeployment", "quote")
    await harness.until(lambda: ready(harness.get("AgentDeployment", "quote")))

    assert (fault.happened, harness.creates(owner(harness))) == (2, 1)


async def test_remove_finalizer_lets_the_object_go_once_nothing_of_it_lives(deployed: Harness) -> None:
    of = owner(deployed)
    deployed.delete("AgentDeployment", "quote")
    await deployed.wait("AgentDeployment", "quote", gone)

    assert [one["status"] for one in deployed.remotes(of)] == ["deleted"]


async def test_remove_finalizer_of_an_orphan_leaves_its_deployment_serving(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment(deletionPolicy="Orphan"))
    await harness.wait("AgentDeployment", "quote")
    of = owner(harness)
    harness.delete("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "quote", gone)

    assert [one["status"] for one in harness.remotes(of)] == ["healthy"]


async def test_delete_self_removes_a_preview_that_expired(harness: Harness) -> None:
    preview = {"label": "pr-1", "ttl": "10m", "onExpiry": "Delete"}
    harness.apply(an_image(), a_preview(preview=preview))
    await harness.wait("AgentDeployment", "quote")
    of = owner(harness)

    await harness.wait("AgentDeployment", "quote", gone, within=7200)

    assert (harness.living(of), harness.creates(of)) == ([], 1)


async def test_delete_self_that_meets_another_writer_leaves_the_preview_to_the_next_pass(harness: Harness) -> None:
    preview = {"label": "pr-1", "ttl": "10m", "onExpiry": "Delete"}
    harness.apply(an_image(), a_preview(preview=preview))
    await harness.wait("AgentDeployment", "quote")
    edit = Fault("delete", AGENT_DEPLOYMENT, act=lambda: harness.annotate("AgentDeployment", "quote", note="1"))
    harness.cluster.fail(edit)
    await harness.until(lambda: edit.happened, within=7200)

    await harness.wait("AgentDeployment", "quote", gone)

    assert len(harness.cluster.writes(AGENT_DEPLOYMENT, "quote")) > 2


async def test_read_text_takes_manifest_and_environments_from_a_config_map(harness: Harness) -> None:
    harness.apply(an_image(), from_texts())
    await harness.wait("AgentDeployment", "quote", says("Ready", "False", "ConfigMapNotFound"))

    harness.apply(texts(a_manifest()))
    await harness.wait("AgentDeployment", "quote")
    harness.apply(texts(a_manifest(description="other words")))
    await harness.until(lambda: harness.creates(owner(harness)) == 2)

    await harness.wait("AgentDeployment", "quote")


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "from a ConfigMap"])
async def test_a_byte_order_mark_before_a_text_is_dropped(harness: Harness, inline: bool) -> None:
    manifest, environments = "\ufeff" + a_manifest(), "\ufeff" + ENVIRONMENTS
    wish = a_deployment(manifest={"inline": manifest}, environments={"inline": environments}, environment="dev")
    harness.apply(an_image(), texts(manifest, environments), wish if inline else from_texts())

    await harness.wait("AgentDeployment", "quote")

    sent = await at_the_remote(harness)
    assert ("\ufeff" in sent["manifest_file"], sent["environment_config"]) == (False, ENVIRONMENTS)


async def test_a_byte_order_mark_before_a_manifest_in_an_archive_is_dropped(harness: Harness) -> None:
    harness.apply(a_context(**{"manifest.yaml": "\ufeff" + a_manifest()}), a_build(), from_build())

    await harness.wait("AgentDeployment", "quote")

    assert "\ufeff" not in (await at_the_remote(harness))["manifest_file"]


async def test_read_text_is_live_right_before_a_create(harness: Harness) -> None:
    harness.apply(an_image(), texts(a_manifest(description="before")))
    await harness.wait("AgentBuild", "quote")
    await harness.cluster.config_map("team", "texts")  # kept for two seconds
    await harness.advance(1)
    harness.apply(texts(a_manifest(description="after")), from_texts())
    await harness.wait("AgentDeployment", "quote")

    await harness.advance(300)

    assert harness.creates(owner(harness)) == 1


@pytest.mark.parametrize(("data", "reason"), [
    ({"data": {"manifest.yaml": None}}, "KeyNotFound"),
    ({"data": {"manifest.yaml": None}, "binaryData": {"manifest.yaml": "AAAA"}}, "InvalidManifest"),
    ({"data": {"environments.yaml": None}, "binaryData": {"environments.yaml": "AAAA"}}, "InvalidEnvironments"),
])
async def test_read_text_says_what_is_wrong_with_a_key(harness: Harness, data: Object, reason: str) -> None:
    harness.apply(texts(a_manifest()))
    harness.edit("ConfigMap", "texts", **data)
    harness.apply(an_image(), from_texts())

    await harness.wait("AgentDeployment", "quote", says("Ready", "False", reason))

    assert harness.remotes(owner(harness)) == []


async def test_read_agent_build_finds_a_build_that_the_watch_did_not_tell_of(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment(suspend=True))
    await harness.wait("AgentBuild", "quote")
    harness.cluster.watch.hold()
    harness.edit("AgentBuild", "quote", spec={"buildArgs": [{"name": "A", "value": "1"}]})
    harness.cluster.watch.lose()
    harness.cluster.watch.release()

    harness.edit("AgentDeployment", "quote", spec={"suspend": False})
    await harness.settled()

    assert harness.simulator.state()["deployments"] == []


# --- calls for the build context ------------------------------------------------------------------------------------


async def test_read_build_manifest_deploys_what_the_build_was_made_of(harness: Harness) -> None:
    harness.apply(a_context(), a_build(), from_build())
    await harness.wait("AgentDeployment", "quote")
    harness.apply(a_context(dockerfile=f"{DOCKERFILE}RUN other\n"))

    await harness.until(lambda: harness.creates(owner(harness)) == 2)
    await harness.wait("AgentDeployment", "quote")

    assert {one["build_id"] for one in harness.remotes(owner(harness))} == {
        one["id"] for one in harness.remotes(harness.owner("AgentBuild", "quote"))}


async def test_read_build_manifest_refuses_a_source_that_moved_on(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    await harness.wait("AgentBuild", "quote")
    harness.edit("AgentBuild", "quote", spec={"suspend": True})
    await harness.advance(1)
    harness.apply(a_context(dockerfile=f"{DOCKERFILE}RUN other\n"), from_build())

    await harness.wait("AgentDeployment", "quote", says("Ready", "False", "SourceMoved"))

    assert harness.remotes(owner(harness)) == []


# --- calls to the account -------------------------------------------------------------------------------------------


async def test_look_for_ours_adopts_the_deployment_whose_answer_was_lost(harness: Harness) -> None:
    harness.simulator.fault("commit-then-drop-response", match=DEPLOYMENTS)
    harness.apply(an_image(), a_deployment())

    found = await harness.wait("AgentDeployment", "quote")

    assert [one["id"] for one in harness.remotes(owner(harness))] == [found["status"]["deploymentID"]]


async def test_confirm_keeps_a_deployment_that_no_list_shows(deployed: Harness) -> None:
    id_ = deployed.status("AgentDeployment", "quote")["deploymentID"]
    deployed.simulator.fault("hide", ids=[id_], forever=True)

    await deployed.advance(900)

    assert ready(deployed.get("AgentDeployment", "quote"))
    assert any(call["path"].endswith(id_) for call in deployed.simulator.calls())
    assert deployed.creates(owner(deployed)) == 1


async def test_confirm_build_deploys_a_build_named_by_its_id(harness: Harness) -> None:
    harness.apply(an_image())
    built = await harness.wait("AgentBuild", "quote")
    harness.apply(a_deployment(buildRef=None, buildID=built["status"]["buildID"]))

    await harness.wait("AgentDeployment", "quote")

    assert [one["build_id"] for one in harness.remotes(owner(harness))] == [built["status"]["buildID"]]


async def test_confirm_build_waits_for_a_build_that_is_not_there(harness: Harness) -> None:
    harness.apply(a_deployment(buildRef=None, buildID="absent"))

    await harness.wait("AgentDeployment", "quote", says("Ready", "False", "BuildNotFound"))

    assert harness.remotes(owner(harness)) == []


async def test_create_deployment_sends_the_preview_with_its_label_and_its_end(previewed: Harness) -> None:
    (remote,) = previewed.remotes(owner(previewed))

    assert (remote["preview"], remote["preview_label"], remote["agent"]) == (True, "pr-1", "quote")
    assert remote["expires_at"][:19] == previewed.status("AgentDeployment", "quote")["expiresAt"][:19]


async def test_create_deployment_of_an_image_needs_no_build(harness: Harness) -> None:
    harness.apply(an_image())
    built = await harness.wait("AgentBuild", "quote")
    image = {"name": built["status"]["image"]["name"], "tag": built["status"]["image"]["tag"]}
    harness.apply(a_deployment(buildRef=None, image=image))

    await harness.wait("AgentDeployment", "quote")

    assert len(harness.living(owner(harness))) == 1


async def test_remove_deletes_the_predecessor_of_a_preview_that_changed(previewed: Harness) -> None:
    previewed.edit("AgentDeployment", "quote", spec={"manifest": {"inline": a_manifest(description="other")}})
    await previewed.until(lambda: previewed.creates(owner(previewed)) == 2)

    await previewed.until(lambda: len(previewed.living(owner(previewed))) == 1)
    found = await previewed.wait("AgentDeployment", "quote")

    assert [one["id"] for one in previewed.living(owner(previewed))] == [found["status"]["deploymentID"]]


async def test_remove_ends_an_expired_preview_that_the_remote_does_not_sweep(previewed: Harness) -> None:
    id_ = previewed.status("AgentDeployment", "quote")["deploymentID"]
    previewed.simulator.fault("outage", match={"method": "DELETE"}, count=2)
    await previewed.wait("AgentDeployment", "quote", expired, within=7200)

    await previewed.until(lambda: previewed.living(owner(previewed)) == [])
    await previewed.advance(3600)

    assert [one["id"] for one in previewed.remotes(owner(previewed))] == [id_]
    assert ready(previewed.get("AgentDeployment", "quote"))


async def test_an_extension_moves_the_end_of_a_preview_that_expired(previewed: Harness) -> None:
    before = previewed.status("AgentDeployment", "quote")["expiresAt"]
    await previewed.wait("AgentDeployment", "quote", expired, within=7200)

    previewed.annotate("AgentDeployment", "quote", extend_requested_at="once more")
    await previewed.until(lambda: len(previewed.living(owner(previewed))) == 1)
    found = await previewed.wait("AgentDeployment", "quote")

    assert found["status"]["expiresAt"] > before


async def test_a_rollout_that_fails_shows_its_event(harness: Harness) -> None:
    harness.apply(an_image(), a_deployment(manifest={"inline": a_manifest(description="simulate: unhealthy")}))

    found = await harness.wait("AgentDeployment", "quote", stalled("DeploymentFailed"))

    last = found["status"]["events"][-1]["message"].rstrip(".")
    assert condition(found, "Ready")["message"].startswith(f"The rollout failed: {last}. Correct the manifest, ")
