"""Previews: beside production, replaced without a gap, and at rest when their time is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from agentex_testkit.api_server import Object, condition, eventually, gone, handled, ready, says
from agentex_testkit.builders import a_deployment, a_manifest, a_preview, an_image
from agentex_testkit.cluster_fixture import ClusterFixture


def rested(obj: Object | None) -> bool:
    """Ready, because its end was wished; but not available."""
    return ready(obj) and says("Expired", "True")(obj) and says("Available", "False", "Expired")(obj)


def test_a_preview_expires_rests_and_is_not_made_again(shared: ClusterFixture) -> None:
    shared.apply(an_image("brief"), a_preview("brief", ttl="4s"))
    shared.wait("AgentDeployment", "brief", says("Available", "True"))

    shared.wait("AgentDeployment", "brief", rested)
    eventually(lambda: shared.living("AgentDeployment", "brief"), lambda seen: seen == [])
    shared.annotate("AgentDeployment", "brief", reconcile_requested_at="now")

    shared.wait("AgentDeployment", "brief", handled("now"))
    assert rested(shared.get("AgentDeployment", "brief"))
    assert shared.creates("AgentDeployment", "brief") == 1


def test_the_coming_end_is_announced(shared: ClusterFixture) -> None:
    shared.apply(an_image("warned"), a_preview("warned", ttl="6s"))

    shared.wait("AgentDeployment", "warned", rested)

    announced = eventually(lambda: reasons(shared, "warned"), lambda seen: "Expired" in seen)
    assert announced.count("ExpiringSoon") == 1
    assert announced.index("ExpiringSoon") < announced.index("Expired")


def test_an_extension_revives_a_preview_that_rests(shared: ClusterFixture) -> None:
    shared.apply(an_image("revived"), a_preview("revived", ttl="4s"))
    shared.explain("AgentDeployment", "revived", creates=2, beside=1)  # until the sweep has seen the expired one
    first = shared.wait("AgentDeployment", "revived", rested)["status"]

    shared.annotate("AgentDeployment", "revived", extend_requested_at="please")

    again = shared.wait("AgentDeployment", "revived", says("Ready", "True", "Healthy"))["status"]
    eventually(lambda: len(shared.living("AgentDeployment", "revived")), lambda seen: seen == 1)
    assert again["deploymentID"] != first["deploymentID"]
    assert again["expiresAt"] > first["expiresAt"]
    assert again["lastHandledExtendRequestedAt"] == "please"


def test_a_preview_whose_configuration_changes_is_replaced_without_a_gap(shared: ClusterFixture) -> None:
    shared.apply(an_image("replaced"), a_preview("replaced"))
    shared.explain("AgentDeployment", "replaced", creates=2)
    first = shared.wait("AgentDeployment", "replaced")["status"]["deploymentID"]

    shared.apply(a_preview("replaced", manifest={"inline": a_manifest("replaced", "answers better")}))

    renewed = shared.wait("AgentDeployment", "replaced", lambda it: ready(it) and it["status"]["deploymentID"] != first)
    eventually(lambda: len(shared.living("AgentDeployment", "replaced")), lambda seen: seen == 1)
    assert shared.living("AgentDeployment", "replaced")[0]["id"] == renewed["status"]["deploymentID"]
    assert {condition(one, "Available").get("status") for one in since_ready(shared, "replaced")} == {"True"}
    assert order(shared, first, renewed["status"]["deploymentID"]) == ["healthy", "deleted"]


def deleted_there(obj: Object | None) -> bool:
    """Whether its deployment is deleted at the remote."""
    return obj is not None and obj["status"]["remoteStatus"].lower() == "deleted"


def since_ready(world: ClusterFixture, name: str) -> list[Object]:
    """Its versions from the first that was Ready."""
    versions = world.versions("AgentDeployment", name)
    return versions[next(at for at, one in enumerate(versions) if ready(one)) :]


def order(world: ClusterFixture, old: str, new: str) -> list[str]:
    """Which came first: the new one's health or the old one's end."""
    ends = {(old, "deleted"), (new, "healthy")}
    return [one["status"] for one in world.simulator.ledger()
            if one["kind"] == "deployment" and (one["id"], one["status"]) in ends]


def test_a_preview_that_never_became_healthy_goes_at_once_when_it_is_replaced(shared: ClusterFixture) -> None:
    stuck = a_preview("dropped", manifest={"inline": a_manifest("dropped", "simulate: stuck")})
    shared.apply(an_image("dropped"), stuck)
    shared.explain("AgentDeployment", "dropped", creates=2)
    shared.wait("AgentDeployment", "dropped", lambda it: it is not None and "deploymentID" in it["status"])

    shared.apply(a_preview("dropped"))

    shared.wait("AgentDeployment", "dropped")
    eventually(lambda: len(shared.living("AgentDeployment", "dropped")), lambda seen: seen == 1)


def test_a_preview_stands_beside_production(shared: ClusterFixture) -> None:
    image, production = an_image("beside"), a_deployment("beside")
    preview = {**a_preview("beside"), "metadata": {"name": "beside-preview"}}
    shared.apply(image, production, preview)

    both = [shared.wait("AgentDeployment", name)["status"] for name in ("beside", "beside-preview")]

    assert both[0]["helmReleaseName"] != both[1]["helmReleaseName"]
    assert len(shared.living("AgentDeployment", "beside") + shared.living("AgentDeployment", "beside-preview")) == 2


def test_a_preview_may_delete_its_resource_at_the_end(shared: ClusterFixture) -> None:
    shared.apply(an_image("vanishing"), a_preview("vanishing", preview={"ttl": "3s", "onExpiry": "Delete"}))

    shared.wait("AgentDeployment", "vanishing", gone)

    assert shared.living("AgentDeployment", "vanishing") == []


def test_what_argo_cd_would_recreate_is_kept_at_the_end(shared: ClusterFixture) -> None:
    managed = a_preview("managed", preview={"ttl": "3s", "onExpiry": "Delete"})
    managed["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "app:agentex.scale.com/AgentDeployment:x/y"}
    shared.apply(an_image("managed"), managed)

    shared.wait("AgentDeployment", "managed", rested)

    told = eventually(lambda: reasons(shared, "managed"), lambda seen: "ExpiryRetained" in seen)
    assert told.count("ExpiryRetained") == 1


def reasons(world: ClusterFixture, name: str) -> list[str]:
    return [one["reason"] for one in world.events("AgentDeployment", name)]


def test_a_preview_ends_at_the_moment_that_was_set(shared: ClusterFixture) -> None:
    build = shared.apply(an_image("timed"))
    made = datetime.fromisoformat(build["metadata"]["creationTimestamp"])
    end = f"{made + timedelta(seconds=8):%Y-%m-%dT%H:%M:%SZ}"

    shared.apply(a_preview("timed", preview={"expiresAt": end}))

    serving = shared.wait("AgentDeployment", "timed", says("Available", "True"))
    assert serving["status"]["expiresAt"].startswith(end[:-1])
    shared.wait("AgentDeployment", "timed", rested)


def test_a_deleted_preview_that_rests_goes_without_asking_anybody(shared: ClusterFixture) -> None:
    shared.apply(an_image("resting"), a_preview("resting", ttl="3s"))
    shared.wait("AgentDeployment", "resting", rested)
    shared.wait("AgentDeployment", "resting", deleted_there)
    outage = shared.simulator.fault("outage", forever=True)
    try:
        shared.remove("AgentDeployment", "resting")
    finally:
        shared.simulator.clear_faults(outage)
