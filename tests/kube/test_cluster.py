"""The cluster adapter against a real API server: what a conditional write may and may not do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kube.conftest import CRD, THING, MakeThing

from agentex_operator.clock import Clock
from agentex_operator.core.errors import Conflict, NotReady, Rejected, Unauthorized, Unavailable
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import KINDS, Kind
from agentex_operator.kube.patches import conditional, merge_patch
from agentex_operator.settings import Settings
from agentex_testkit.clusters import ClusterUnderTest


async def patch(kube: KubeCluster, thing: dict[str, Any], body: dict[str, Any], **how: bool) -> dict[str, Any]:
    metadata = thing["metadata"]
    return await kube.patch(THING, metadata["namespace"], metadata["name"], body, **how)


async def live(kube: KubeCluster, thing: dict[str, Any]) -> dict[str, Any] | None:
    found = await kube.get(THING, thing["metadata"]["namespace"], thing["metadata"]["name"])
    return bare(found) if found else None


def bare(thing: dict[str, Any]) -> dict[str, Any]:
    """As kubectl shows it."""
    return {**thing, "metadata": {key: value for key, value in thing["metadata"].items() if key != "managedFields"}}


async def delete(kube: KubeCluster, thing: dict[str, Any], **condition: str) -> None:
    metadata = thing["metadata"]
    await kube.delete(THING, metadata["namespace"], metadata["name"], **{"uid": metadata["uid"], **condition})


async def test_reading_an_object_that_is_not_there_returns_none(kube: KubeCluster, make_thing: MakeThing) -> None:
    thing = make_thing()
    absent = {"metadata": {**thing["metadata"], "name": "absent"}}

    assert await live(kube, thing) == thing
    assert await live(kube, absent) is None


async def test_the_pages_of_a_list_have_all_its_objects(
    kube: KubeCluster, make_thing: MakeThing, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentex_operator.kube.cluster.CHUNK", 2)
    made = [make_thing(f"thing-{number}") for number in range(5)]

    pages = [page async for page in kube.pages(THING, namespace)]

    assert [[bare(found) for found in page.objects] for page in pages] == [made[:2], made[2:4], made[4:]]
    assert [page.is_first for page in pages] == [True, False, False]
    assert sum([len(page.objects) async for page in kube.pages(THING, None)]) >= 5


async def test_a_conditional_write_applies_to_its_own_version_only(
    kube: KubeCluster, make_thing: MakeThing
) -> None:
    thing = make_thing()
    written = await patch(kube, thing, conditional(thing, {"status": {"step": 1}}), status=True)
    assert written["status"] == {"step": 1}

    with pytest.raises(Conflict):
        await patch(kube, thing, conditional(thing, {"status": {"step": 2}}), status=True)
    assert await live(kube, thing) == bare(written)


async def test_a_conditional_write_does_not_change_a_new_object_of_the_same_name(
    kube: KubeCluster, make_thing: MakeThing
) -> None:
    old = make_thing("same-name")
    await delete(kube, old)
    new = make_thing("same-name")

    with pytest.raises(Conflict):
        await patch(kube, new, conditional(old, {"spec": {"size": 9}}))
    with pytest.raises(Conflict):
        await patch(kube, new, conditional(old, {"status": {"step": 9}}), status=True)
    assert await live(kube, new) == new


async def test_a_write_with_a_uid_and_no_version_is_refused(kube: KubeCluster, make_thing: MakeThing) -> None:
    thing = make_thing()

    with pytest.raises(ValueError, match="resourceVersion"):
        await patch(kube, thing, {"metadata": {"uid": "another"}, "status": {"step": 9}}, status=True)


async def test_a_write_to_a_deleted_object_is_a_conflict(kube: KubeCluster, make_thing: MakeThing) -> None:
    thing = make_thing()
    await delete(kube, thing)

    with pytest.raises(Conflict):
        await patch(kube, thing, conditional(thing, {"spec": {"size": 2}}))
    with pytest.raises(Conflict):
        await delete(kube, thing)


async def test_a_merge_patch_removes_members_that_are_no_longer_set(kube: KubeCluster, make_thing: MakeThing) -> None:
    thing = make_thing()
    old, new = {"kept": {"a": 1, "b": 2}, "dropped": "x"}, {"kept": {"a": 1}, "conditions": [{"type": "Ready"}]}
    thing = await patch(kube, thing, {"status": old}, status=True)

    written = await patch(kube, thing, conditional(thing, {"status": merge_patch(old, new)}), status=True)

    assert written["status"] == new


async def test_status_is_a_subresource_and_writes_have_our_field_manager(
    kube: KubeCluster, make_thing: MakeThing
) -> None:
    thing = make_thing()
    await patch(kube, thing, {"status": {"step": 1}, "spec": {"size": 5}}, status=True)
    written = await patch(kube, thing, {"metadata": {"finalizers": ["a.example.com/b"]}, "status": {"step": 2}})
    released = await patch(kube, thing, {"metadata": {"finalizers": None}})

    assert (written["spec"], written["status"]) == ({"size": 1}, {"step": 1})
    assert written["metadata"]["finalizers"] == ["a.example.com/b"]
    assert "finalizers" not in released["metadata"]
    assert "agentex-operator" in {entry["manager"] for entry in written["metadata"]["managedFields"]}


async def test_a_write_against_the_schema_is_rejected(kube: KubeCluster, make_thing: MakeThing) -> None:
    thing = make_thing()

    with pytest.raises(Rejected) as raised:
        await patch(kube, thing, {"spec": {"size": 11}})

    assert raised.value.status == 422
    assert "size" in raised.value.message


@pytest.mark.parametrize("condition", [{"uid": "00000000-0000-0000-0000-000000000000"}, {"resource_version": "1"}])
async def test_a_delete_removes_only_the_object_of_its_uid_and_version(
    kube: KubeCluster, make_thing: MakeThing, condition: dict[str, str]
) -> None:
    thing = make_thing()
    with pytest.raises(Conflict):
        await delete(kube, thing, **condition)
    assert await live(kube, thing) == thing

    await delete(kube, thing, resource_version=thing["metadata"]["resourceVersion"])
    assert await live(kube, thing) is None


async def test_a_request_without_permission_is_unauthorized(
    cluster: ClusterUnderTest, namespace: str, make_thing: MakeThing
) -> None:
    thing = make_thing()
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    kubeconfig = cluster.service_account_kubeconfig(namespace, "nobody")
    kube = await KubeCluster.connect(Settings(kubeconfig=kubeconfig), Clock())
    try:
        with pytest.raises(Unauthorized) as read:
            await live(kube, thing)
        with pytest.raises(Unauthorized) as written:
            await patch(kube, thing, {"spec": {"size": 2}})
    finally:
        await kube.aclose()

    assert (read.value.status, written.value.status) == (403, 403)


async def test_config_maps_secrets_and_namespaces_are_read(
    cluster: ClusterUnderTest, namespace: str, kube: KubeCluster
) -> None:
    cluster.kubectl("create", "configmap", "words", "-n", namespace, "--from-literal=a=b")
    cluster.kubectl("create", "secret", "generic", "key", "-n", namespace, "--from-literal=k=v")

    words, key, team = (
        await kube.config_map(namespace, "words"),
        await kube.secret(namespace, "key"),
        await kube.namespace(namespace),
    )

    assert words is not None
    assert words["data"] == {"a": "b"}
    assert key is not None
    assert key["data"] == {"k": "dg=="}
    assert team is not None
    assert team["metadata"]["labels"]["kubernetes.io/metadata.name"] == namespace
    assert await kube.secret(namespace, "absent") is None


async def test_the_cluster_uid_is_the_uid_of_kube_system(cluster: ClusterUnderTest, kube: KubeCluster) -> None:
    known = json.loads(cluster.kubectl("get", "namespace", "kube-system", "-o", "json"))

    assert await kube.cluster_uid() == known["metadata"]["uid"] == await kube.cluster_uid()


async def test_the_kinds_that_are_served_are_told_from_those_that_are_not(kube: KubeCluster, things: Kind) -> None:
    absent = Kind(things.group, things.version, "nothings", "Nothing", namespaced=True)
    elsewhere = Kind("nowhere.example.com", "v1", "nothings", "Nothing", namespaced=True)

    assert await kube.served((absent, things, elsewhere)) == (things,)


async def test_the_schema_of_a_kind_is_read_as_its_crd_has_it(kube: KubeCluster, things: Kind) -> None:
    elsewhere = Kind("nowhere.example.com", "v1", "nothings", "Nothing", namespaced=True)
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for _ in range(100):  # the API server publishes the schema some time after the kind is served
        if things.kind in (found := await kube.schemas(things.root)):
            break
        await asyncio.sleep(0.2)

    assert found[things.kind]["properties"]["spec"]["properties"].keys() == schema["properties"]["spec"][
        "properties"].keys()
    assert await kube.schemas(elsewhere.root) == {}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Any:
    """Writes a kubeconfig whose cluster is as told."""

    def write(**cluster: Any) -> Path:
        path = tmp_path / "kubeconfig"
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        content = {
            "current-context": "c",
            "contexts": [context],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    return write


async def test_an_api_server_that_does_not_listen_is_unavailable(kubeconfig: Any) -> None:
    kube = await KubeCluster.connect(Settings(kubeconfig=kubeconfig(server="http://127.0.0.1:9")), Clock())

    with pytest.raises(Unavailable):
        await kube.patch(KINDS[0], "team", "a", {})
    await kube.aclose()


async def test_an_api_server_with_an_unknown_issuer_is_unavailable(kubeconfig: Any, cluster: ClusterUnderTest) -> None:
    kube = await KubeCluster.connect(Settings(kubeconfig=kubeconfig(server=cluster.url)), Clock())

    with pytest.raises(Unavailable, match="Certificate"):
        await kube.patch(KINDS[0], "team", "a", {})
    await kube.aclose()


async def test_the_error_of_an_unusable_kubeconfig_names_the_file(kubeconfig: Any, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="absent"):
        await KubeCluster.connect(Settings(kubeconfig=tmp_path / "absent"), Clock())
    with pytest.raises(NotReady, match="no-such"):
        await KubeCluster.connect(Settings(kubeconfig=kubeconfig(server="https://a"), context="no-such"), Clock())
    with pytest.raises(NotReady, match="service account"):
        await KubeCluster.connect(Settings(), Clock())


async def test_a_kubeconfig_without_tls_verification_is_refused(kubeconfig: Any) -> None:
    insecure = kubeconfig(server="https://127.0.0.1:9", **{"insecure-skip-tls-verify": True})

    with pytest.raises(NotReady, match="certificate-authority"):
        await KubeCluster.connect(Settings(kubeconfig=insecure), Clock())
