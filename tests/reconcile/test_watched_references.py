"""ConfigMaps that resources name: a change is acted on at once, also after the watch broke; polling is the fallback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.reconcile.conftest import MakeHarness

from agentex_operator.core.errors import Unauthorized, Unavailable
from agentex_operator.kube.kinds import CONFIG_MAP, SECRET
from agentex_testkit.api_server import remembered
from agentex_testkit.builders import DOCKERFILE, ENVIRONMENTS, a_build, a_context, a_deployment, a_manifest, from_build
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import TEAM, Harness

NEVER = timedelta(days=100)
POLL = 60.0  # seconds, --reference-resync
RESYNC = 300.0
LONG = 100 * 86400.0
BROKEN = f"{DOCKERFILE}RUN exit 3\n"


@pytest.fixture
async def harness(make_harness: MakeHarness) -> AsyncIterator[Harness]:
    """A running operator that looks at nothing again by itself, with the account `default`."""
    harness = make_harness(resync=NEVER, reference_resync=NEVER)
    async with harness.running():
        await harness.with_account()
        yield harness


@pytest.fixture
async def polling(make_harness: MakeHarness) -> AsyncIterator[Harness]:
    """A running operator with the default times, with the account `default`."""
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        yield harness


def another_context(name: str = "quote", note: str = "changed") -> dict[str, Any]:
    return a_context(name, **{"project/note.txt": note})


def denied(harness: Harness) -> None:
    """Take the right to list and watch ConfigMaps away; watches that are open end."""
    for verb in ("list", "watch"):
        harness.cluster.fail(Fault(verb, CONFIG_MAP, error=Unauthorized("forbidden", status=403), times=float("inf")))
    harness.cluster.streams.cut()


def reads(harness: Harness, verb: str = "get") -> int:
    return sum(one.kind == CONFIG_MAP and one.verb == verb for one in harness.cluster.fake_api.requests)


async def built(harness: Harness, creates: int = 1, within: float = 30) -> None:
    await harness.until(lambda: harness.creates(harness.owner("AgentBuild", "quote")) >= creates, within)
    await harness.wait("AgentBuild", "quote", within=within)


def creates(harness: Harness) -> int:
    return harness.creates(harness.owner("AgentBuild", "quote"))


# --- while the watch lives --------------------------------------------------------------------------------------------


async def test_a_changed_source_is_built_at_once_though_it_was_read_a_moment_ago(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    await built(harness)
    await harness.wait("AgentBuild", "quote")
    harness.annotate("AgentBuild", "quote", reconcile_requested_at="now")
    await harness.settled()

    harness.apply(another_context())
    await harness.settled()

    assert creates(harness) == 2


async def test_a_source_that_is_mended_in_place_is_built_at_once(harness: Harness) -> None:
    harness.apply(a_context(dockerfile=BROKEN), a_build())
    await harness.until(lambda: harness.status("AgentBuild", "quote").get("phase") == "Failed")

    harness.apply(a_context())
    await harness.settled()

    assert creates(harness) == 2


@pytest.mark.parametrize("member", ["manifest", "environments"])
async def test_a_changed_configuration_is_rolled_out_at_once(harness: Harness, member: str) -> None:
    texts = {"manifest": a_manifest(), "environments": ENVIRONMENTS}
    harness.apply(a_context(), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}, "data": texts})
    refs: dict[str, Any] = {one: {"configMapKeyRef": {"name": "texts", "key": one}} for one in texts}
    harness.apply(a_build(), a_deployment(**refs))
    await harness.wait("AgentDeployment", "quote")

    harness.edit("ConfigMap", "texts", data={member: f"# another\n{texts[member]}"})
    await harness.settled()

    assert remembered(harness.status("AgentDeployment", "quote"))["attempt"] == 2


async def test_a_config_map_that_is_missing_at_first_is_used_as_soon_as_it_is_there(harness: Harness) -> None:
    harness.apply(a_build())
    await harness.settled()

    harness.apply(a_context())
    await harness.settled()

    assert creates(harness) == 1


async def test_a_config_map_that_is_deleted_and_made_anew_is_noticed_both_times(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    await built(harness)

    harness.delete("ConfigMap", "quote")
    await harness.settled()
    gone = harness.status("AgentBuild", "quote")["conditions"]
    harness.apply(another_context())
    await harness.settled()

    assert "ConfigMapNotFound" in {one["reason"] for one in gone}
    assert creates(harness) == 2


async def test_an_idle_resource_whose_references_are_watched_reads_none_of_them(polling: Harness) -> None:
    polling.apply(a_context(), a_build(), from_build())
    await polling.wait("AgentDeployment", "quote")
    await polling.settled()
    before = reads(polling)

    await polling.advance(4 * POLL)
    idle = reads(polling) - before
    await polling.advance(2 * RESYNC)

    assert idle == 0
    assert reads(polling) > before  # the safety net


@pytest.mark.exhaustive
async def test_config_maps_that_nobody_names_wake_nothing(harness: Harness) -> None:
    harness.apply(a_context(), a_build(), from_build())
    await harness.wait("AgentDeployment", "quote")
    await harness.settled()
    before = len(harness.cluster.fake_api.requests)

    for number in range(10_000):
        harness.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"other-{number}"}}, TEAM)
    harness.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "quote"}}, "kube-system")
    await harness.settled()
    for number in range(10_000):
        harness.cluster.edit(CONFIG_MAP, TEAM, f"other-{number}", data={"a": "b"})
    await harness.settled()

    assert len(harness.cluster.fake_api.requests) == before


async def test_only_metadata_is_asked_for(harness: Harness) -> None:
    """The fake answers metadata to exactly the types that the real API server answers metadata to: test_metadata.py."""
    harness.apply(a_context())
    events = []
    with harness.cluster.streams.opened(CONFIG_MAP, None, 0) as stream:
        events.append(await anext(stream))

    assert set(events[0]["object"]) == {"kind", "apiVersion", "metadata"}


# --- when the watch breaks --------------------------------------------------------------------------------------------


async def test_a_change_is_seen_after_the_watch_broke(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    await built(harness)

    harness.cluster.streams.cut()
    harness.apply(another_context())

    await harness.until(lambda: creates(harness) == 2, within=1)


async def test_a_change_that_the_api_server_does_not_remember_is_seen(harness: Harness) -> None:
    """A watch is opened anew at a version that is forgotten meanwhile: 410, and then a list."""
    harness.apply(a_context(), a_build())
    await built(harness)
    store, streams = harness.cluster.store, harness.cluster.streams

    await harness.advance(10)
    streams.end()
    harness.cluster.fail(Fault("watch", CONFIG_MAP, act=lambda: streams.forget(store.version)))
    harness.apply(another_context(note="before"))
    await harness.until(lambda: creates(harness) == 2, within=1)
    harness.apply(another_context(note="after"))

    await harness.until(lambda: creates(harness) == 3, within=30)


async def test_a_watch_that_ends_is_opened_where_it_ended(harness: Harness) -> None:
    harness.apply(a_context(), a_build())
    await built(harness)
    await harness.advance(10)
    lists = reads(harness, "list")

    harness.cluster.streams.end()
    await harness.settled()
    harness.apply(another_context())
    await harness.settled()

    assert creates(harness) == 2
    assert reads(harness, "list") == lists + 1  # of one object: whether the storage went back


async def test_a_healed_watch_wakes_only_what_changed(harness: Harness) -> None:
    harness.apply(a_context(), a_build(), from_build(), a_context("other"), a_build("other"))
    await harness.wait("AgentDeployment", "quote")
    await harness.wait("AgentBuild", "other")
    await harness.settled()

    harness.cluster.streams.cut()
    harness.apply(another_context("other"))
    before = reads(harness)
    await harness.until(lambda: harness.status("AgentBuild", "other")["attempt"] == 2, within=5)
    await harness.wait("AgentBuild", "other")

    named = [one.name for one in harness.cluster.fake_api.requests if one.kind == CONFIG_MAP and one.verb == "get"]
    assert set(named[before:]) == {"other"}


async def test_connections_that_are_cut_now_and_then_do_not_count_as_an_outage(polling: Harness) -> None:
    polling.apply(a_context(), a_build())
    await built(polling)
    await polling.advance(0.3 * RESYNC)
    before = reads(polling)

    for _ in range(5):
        polling.cluster.streams.cut()
        await polling.advance(10)
    await polling.advance(0.8 * POLL)

    assert reads(polling) == before


async def test_an_api_server_that_does_not_answer_leads_to_polling_and_back(polling: Harness) -> None:
    polling.apply(a_context(), a_build())
    await built(polling)
    await polling.advance(RESYNC)
    away = [polling.cluster.fail(Fault(verb, CONFIG_MAP, error=Unavailable("no answer"), times=5))
            for verb in ("list", "watch")]
    polling.cluster.streams.cut()
    await polling.advance(5)

    polling.apply(another_context())
    await polling.until(lambda: creates(polling) == 2, within=1.2 * POLL)
    await polling.advance(2 * RESYNC)
    polling.apply(another_context(note="again"))
    await polling.until(lambda: creates(polling) == 3, within=5)

    assert sum(one.happened for one in away) > 2


# --- without the right ------------------------------------------------------------------------------------------------


async def test_without_the_right_config_maps_are_polled(make_harness: MakeHarness) -> None:
    harness = make_harness()
    denied(harness)
    async with harness.running():
        await harness.with_account()
        harness.apply(a_context(), a_build())
        await built(harness)

        harness.apply(another_context())
        await harness.settled()
        assert creates(harness) == 1
        await harness.until(lambda: creates(harness) == 2, within=1.2 * POLL)


async def test_the_missing_right_is_logged_once_and_its_return_too(
        make_harness: MakeHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness = make_harness()
    denied(harness)
    caplog.set_level("INFO")
    async with harness.running():
        await harness.advance(1200)
        harness.cluster.fake_api.faults.clear()
        await harness.advance(300)

    logged = [record.getMessage() for record in caplog.records if record.getMessage().startswith("ConfigMaps are")]
    assert logged == ["ConfigMaps are polled instead of watched", "ConfigMaps are watched"]


async def test_a_right_that_is_granted_later_is_used(make_harness: MakeHarness) -> None:
    harness = make_harness()
    denied(harness)
    async with harness.running():
        await harness.with_account()
        harness.apply(a_context(), a_build())
        await built(harness)

        harness.cluster.fake_api.faults.clear()
        await harness.advance(RESYNC)
        harness.apply(another_context())
        await harness.settled()

        assert creates(harness) == 2


async def test_after_the_right_is_lost_everything_is_polled_again(polling: Harness) -> None:
    polling.apply(a_context(), a_build())
    await built(polling)
    await polling.advance(0.3 * RESYNC)  # the next look is far away

    denied(polling)
    await polling.settled()
    polling.apply(another_context())

    await polling.until(lambda: creates(polling) == 2, within=1.2 * POLL)


async def test_the_right_to_list_alone_is_not_enough(make_harness: MakeHarness) -> None:
    harness = make_harness()
    harness.cluster.fail(Fault("watch", CONFIG_MAP, error=Unauthorized("no", status=403), times=float("inf")))
    async with harness.running():
        await harness.with_account()
        harness.apply(a_context(), a_build())
        await built(harness)
        harness.apply(another_context())

        await harness.until(lambda: creates(harness) == 2, within=1.2 * POLL)


async def test_secrets_are_polled_and_never_listed_or_watched(polling: Harness) -> None:
    archive = a_context()["binaryData"]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "quote"}, "data": archive}
    polling.apply(secret, a_build(source={"secretKeyRef": {"name": "quote", "key": "context.tar.gz"}}))
    await built(polling)

    polling.apply({**secret, "data": another_context()["binaryData"]})
    await polling.until(lambda: creates(polling) == 2, within=1.2 * POLL)

    about = {one.verb for one in polling.cluster.fake_api.requests if one.kind == SECRET}
    assert about == {"get"}


async def test_only_the_namespaces_of_the_settings_are_watched(make_harness: MakeHarness) -> None:
    harness = make_harness(watch_namespaces=(TEAM, "other"), resync=NEVER, reference_resync=NEVER)
    async with harness.running():
        await harness.with_account()
        harness.apply(a_context(), a_build())
        await built(harness)
        harness.apply(another_context())
        await harness.settled()

        asked = {(one.verb, one.namespace) for one in harness.cluster.fake_api.requests
                 if one.kind == CONFIG_MAP and one.verb != "get"}
        assert asked == {(verb, namespace) for verb in ("list", "watch") for namespace in (TEAM, "other")}
        assert creates(harness) == 2
