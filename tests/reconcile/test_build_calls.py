"""Each call of an AgentBuild's pass, by what it leaves in the cluster and in the account."""

from __future__ import annotations

from typing import Any

import pytest

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENT_BUILD
from agentex_testkit.api_server import Object, condition, gone, ready, remembered, says, stalled
from agentex_testkit.builders import DOCKERFILE, FAILING, STUCK, a_build, a_context, a_manifest, an_image
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

BUILDS = {"method": "POST", "path": "/v5/builds"}
OTHER = f"{DOCKERFILE}RUN other\n"


def building(obj: Object | None) -> bool:
    status = (obj or {}).get("status") or {}
    return "buildID" in status and status.get("remoteStatus") == "running"


def owner(harness: Harness) -> str:
    return harness.owner("AgentBuild", "quote")


def revision(harness: Harness) -> object:
    return ((harness.get("AgentBuild", "quote") or {}).get("status") or {}).get("source", {}).get("revision")


def posts(harness: Harness, path: str = "/v5/builds") -> int:
    return sum(call["method"] == "POST" and call["path"] == path for call in harness.simulator.calls())


# --- calls to the cluster -------------------------------------------------------------------------------------------


async def test_add_finalizer_comes_before_anything_remote(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("patch", AGENT_BUILD, error=Unavailable("away"), times=3))
    harness.apply(an_image())
    await harness.settled()
    assert (harness.simulator.state()["builds"], fault.happened) == ([], 1)

    found = await harness.wait("AgentBuild", "quote")

    assert found["metadata"]["finalizers"] == [FINALIZER]
    assert fault.happened == 3


async def test_add_finalizer_keeps_the_finalizers_of_others(harness: Harness) -> None:
    wished = an_image()
    harness.apply({**wished, "metadata": {**wished["metadata"], "finalizers": ["example.com/theirs"]}})

    found = await harness.wait("AgentBuild", "quote")
    harness.delete("AgentBuild", "quote")
    await harness.settled()

    assert found["metadata"]["finalizers"] == ["example.com/theirs", FINALIZER]
    assert (harness.get("AgentBuild", "quote") or {})["metadata"]["finalizers"] == ["example.com/theirs"]


async def test_write_intent_that_meets_another_writer_sends_no_create(harness: Harness) -> None:
    seen: list[int] = []

    def edit() -> None:
        seen.append(posts(harness))
        harness.annotate("AgentBuild", "quote", note="1")

    harness.cluster.fail(Fault("patch_status", AGENT_BUILD, act=edit))
    harness.apply(an_image())
    await harness.wait("AgentBuild", "quote")

    assert seen == [0]
    assert (posts(harness), harness.creates(owner(harness))) == (1, 1)


async def test_write_intent_is_not_written_on_a_version_that_another_writer_replaced(harness: Harness) -> None:
    def suspend() -> None:
        harness.edit("AgentBuild", "quote", spec={"suspend": True})

    fault = harness.cluster.fail(Fault("patch_status", AGENT_BUILD, act=suspend))
    harness.apply(an_image())

    await harness.wait("AgentBuild", "quote", says("Suspended", "True"))

    assert (fault.happened, posts(harness)) == (1, 0)


async def test_write_intent_whose_answer_is_lost_is_followed_by_one_create(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("patch_status", AGENT_BUILD, error=Unavailable("lost"), effect=True))
    harness.apply(an_image())
    await harness.settled()
    assert posts(harness) == 0
    assert "pendingCreate" in remembered(harness.status("AgentBuild", "quote"))

    await harness.wait("AgentBuild", "quote")

    assert (fault.happened, harness.creates(owner(harness))) == (1, 1)


async def test_save_status_says_ready_with_the_image_and_announces_it(harness: Harness) -> None:
    harness.apply(an_image())
    found = await harness.wait("AgentBuild", "quote")
    (remote,) = harness.remotes(owner(harness))

    assert found["status"]["buildID"] == remote["id"]
    assert found["status"]["image"]["tag"] == remote["image_tag"]
    assert found["status"]["phase"] == "Ready"
    assert "Succeeded" in [one["reason"] for one in harness.cluster.events("quote")]


async def test_save_status_that_fails_is_made_up_for_and_creates_nothing_anew(harness: Harness) -> None:
    fault = harness.cluster.fail(Fault("patch_status", AGENT_BUILD, error=Unavailable("away"), skip=1, times=2))
    harness.apply(an_image())

    await harness.wait("AgentBuild", "quote")

    assert (fault.happened, harness.creates(owner(harness))) == (2, 1)


async def test_remove_finalizer_lets_the_object_go_once_its_build_has_ended(harness: Harness) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build())
    await harness.wait("AgentBuild", "quote", building)
    of = owner(harness)
    harness.delete("AgentBuild", "quote")
    await harness.settled()
    assert harness.get("AgentBuild", "quote") is not None

    await harness.wait("AgentBuild", "quote", gone)

    assert [one["status"] for one in harness.remotes(of)] == ["cancelled"]


async def test_remove_finalizer_of_an_orphan_leaves_its_build_running(harness: Harness) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build(deletionPolicy="Orphan"))
    await harness.wait("AgentBuild", "quote", building)
    of = owner(harness)
    harness.delete("AgentBuild", "quote")

    await harness.wait("AgentBuild", "quote", gone)

    assert [one["status"] for one in harness.remotes(of)] == ["running"]


# --- calls for the build context ------------------------------------------------------------------------------------


async def test_resolve_source_finds_the_new_content_of_a_config_map(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    before = await harness.wait("AgentBuild", "quote")
    harness.apply(a_context(dockerfile=OTHER))

    await harness.until(lambda: harness.creates(owner(harness)) == 2)
    after = await harness.wait("AgentBuild", "quote")

    assert before["status"]["source"]["revision"] != after["status"]["source"]["revision"]
    assert before["status"]["image"]["tag"] != after["status"]["image"]["tag"]


async def test_files_that_macos_adds_make_no_other_build(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    before = await harness.wait("AgentBuild", "quote")

    harness.apply(a_context(**{"project/._acp.py": "\0\5\x16\7 packed on Monday", ".DS_Store": "x"}))
    await harness.until(lambda: revision(harness) != before["status"]["source"]["revision"])
    harness.apply(a_context(**{"project/._acp.py": "\0\5\x16\7 packed on Tuesday"}))
    await harness.advance(120)

    found = await harness.wait("AgentBuild", "quote")
    assert (found["status"]["contextDigest"], harness.creates(owner(harness))) == (
        before["status"]["contextDigest"], 1)


async def test_the_directory_of_an_agentex_init_scaffold_is_built_as_it_is(harness: Harness) -> None:
    manifest = a_manifest().replace("root: ., include_paths: [project], dockerfile: Dockerfile",
                                    "root: ../, include_paths: [quote_bot], dockerfile: quote_bot/Dockerfile")
    harness.apply(a_context(**{"manifest.yaml": manifest}), a_build())

    await harness.wait("AgentBuild", "quote")


async def test_a_mount_path_that_does_not_fit_is_said_and_can_be_corrected(harness: Harness) -> None:
    manifest = a_manifest().replace("root: ., include_paths: [project], dockerfile: Dockerfile",
                                    "root: ../, include_paths: [quote_bot], dockerfile: quote_bot/Dockerfile")
    harness.apply(a_context(**{"manifest.yaml": manifest}), a_build(context={"mountPath": "other"}))
    await harness.wait("AgentBuild", "quote", says("Ready", "False", "DockerfileNotFound"))

    harness.edit("AgentBuild", "quote", spec={"context": {"mountPath": "quote_bot"}})

    await harness.wait("AgentBuild", "quote")


async def test_stage_context_sends_the_archive_and_leaves_nothing_on_the_disk(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    found = await harness.wait("AgentBuild", "quote")
    (remote,) = harness.remotes(owner(harness))

    assert remote["status"] == "success"
    assert remote["working_tree_hash"] == found["status"]["contextDigest"]
    assert [path for path in harness.settings.work_dir.rglob("*") if path.is_file() and path.stat().st_size] == []


# --- calls to the account -------------------------------------------------------------------------------------------


async def test_look_for_ours_adopts_the_build_whose_answer_was_lost(harness: Harness) -> None:
    harness.simulator.fault("commit-then-drop-response", match=BUILDS)
    harness.apply(an_image())

    found = await harness.wait("AgentBuild", "quote")

    assert [one["id"] for one in harness.remotes(owner(harness))] == [found["status"]["buildID"]]


async def test_confirm_keeps_a_build_that_no_list_shows(harness: Harness) -> None:
    harness.apply(an_image())
    found = await harness.wait("AgentBuild", "quote")
    harness.simulator.fault("hide", ids=[found["status"]["buildID"]], forever=True)

    await harness.advance(900)

    assert ready(harness.get("AgentBuild", "quote"))
    assert any(call["path"].endswith(found["status"]["buildID"]) for call in harness.simulator.calls())
    assert harness.creates(owner(harness)) == 1


async def test_confirm_believes_a_404_after_a_while_and_the_image_is_built_again(harness: Harness) -> None:
    harness.apply(an_image())
    found = await harness.wait("AgentBuild", "quote")
    harness.simulator.actor("delete-build", id=found["status"]["buildID"])

    await harness.until(lambda: harness.creates(owner(harness)) == 2, within=1200)
    again = await harness.wait("AgentBuild", "quote")

    assert again["status"]["buildID"] != found["status"]["buildID"]


async def test_find_agent_takes_the_id_that_a_build_of_the_agent_shows(harness: Harness) -> None:
    harness.simulator.actor("take-name", account="acct-1", name="quote", build=True)
    harness.apply(an_image())

    found = await harness.wait("AgentBuild", "quote")

    assert [agent["id"] for agent in harness.simulator.state()["agents"]] == [found["status"]["agentID"]]


async def test_find_agent_has_the_second_build_of_a_new_agent_wait_for_the_first(harness: Harness) -> None:
    first, second = an_image("one", agentName="shared"), an_image("two", agentName="shared")
    harness.apply(first, second)

    built = [await harness.wait("AgentBuild", name) for name in ("one", "two")]

    assert [agent["name"] for agent in harness.simulator.state()["agents"]] == ["shared"]
    assert built[0]["status"]["agentID"] == built[1]["status"]["agentID"]
    assert posts(harness) == 2


async def test_find_agent_looks_again_when_the_name_is_refused_and_says_that_it_is_taken(harness: Harness) -> None:
    harness.simulator.actor("take-name", account="acct-1", name="quote")
    harness.apply(an_image())

    await harness.wait("AgentBuild", "quote", stalled("AgentNameTaken"))

    assert harness.remotes(owner(harness)) == []


async def test_find_agent_asks_anew_when_the_name_was_taken_after_the_list_was_read(harness: Harness) -> None:
    def take() -> None:
        harness.simulator.actor("take-name", account="acct-1", name="quote", build=True)

    harness.cluster.fail(Fault("patch_status", AGENT_BUILD, act=take))
    harness.apply(an_image())

    found = await harness.wait("AgentBuild", "quote")

    assert [agent["id"] for agent in harness.simulator.state()["agents"]] == [found["status"]["agentID"]]


async def test_a_refused_first_build_leaves_the_name_of_its_agent_to_another(harness: Harness) -> None:
    harness.simulator.fault("status", match=BUILDS, status=413)
    harness.apply(an_image("one", agentName="shared"))
    await harness.wait("AgentBuild", "one", stalled("RejectedByRemote"))

    harness.apply(an_image("two", agentName="shared"))

    await harness.wait("AgentBuild", "two", within=60)


async def test_create_build_sends_what_the_spec_says(harness: Harness) -> None:
    harness.apply(a_context(), a_build(buildArgs=[{"name": "A", "value": "1"}], image={"name": "quote", "tag": "v1"}))
    found = await harness.wait("AgentBuild", "quote")
    (remote,) = harness.remotes(owner(harness))

    assert (remote["image_name"], remote["image_tag"]) == ("quote", "v1")
    assert remote["build_args"] == '{"A": "1"}'
    assert found["status"]["image"]["tag"] == "v1"


@pytest.mark.parametrize("change", [{"cancel": True}, {"timeout": "1m"}])
async def test_remove_cancels_a_running_build(harness: Harness, change: dict[str, Any]) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build(retries=0))
    await harness.wait("AgentBuild", "quote", building)

    harness.edit("AgentBuild", "quote", spec=change)
    await harness.until(lambda: harness.living(owner(harness)) == [])
    found = await harness.wait("AgentBuild", "quote", says("Ready", "False"))

    assert condition(found, "Ready")["reason"] == ("Cancelled" if "cancel" in change else "BuildTimedOut")
    assert [one["status"] for one in harness.remotes(owner(harness))] == ["cancelled"]


async def test_remove_comes_before_the_next_build_when_the_inputs_change(harness: Harness) -> None:
    harness.apply(a_context(dockerfile=STUCK), a_build())
    await harness.wait("AgentBuild", "quote", building)

    harness.edit("AgentBuild", "quote", spec={"buildArgs": [{"name": "A", "value": "1"}]})
    await harness.until(lambda: harness.creates(owner(harness)) == 2)

    assert sorted(one["status"] for one in harness.remotes(owner(harness)))[0] == "cancelled"
    assert len(harness.living(owner(harness))) == 1


async def test_read_log_tail_shows_the_line_that_says_why_a_build_failed(harness: Harness) -> None:
    harness.simulator.fault("outage", match={"regex": "/logs$"}, count=1)
    harness.apply(a_context(dockerfile=FAILING), a_build())

    found = await harness.wait("AgentBuild", "quote", stalled("BuildFailed"))
    await harness.until(lambda: "logTail" in harness.status("AgentBuild", "quote"))

    assert "exit" in harness.status("AgentBuild", "quote")["logTail"]
    why = harness.status("AgentBuild", "quote")["failureMessage"]
    message = condition(harness.get("AgentBuild", "quote"), "Ready")["message"]
    assert message.startswith(f"{why}. Change the inputs, or ")
    assert found["status"]["phase"] == "Failed"
