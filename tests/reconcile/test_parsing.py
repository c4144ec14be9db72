"""Whatever JSON an object holds: a resource, or a finding with the member; no exception (nab#947, arrow#991)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentex_operator.api.account import AgentexAccount, ClusterAgentexAccount
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.api.metadata import Resource
from agentex_operator.core.invalid import InvalidObject
from agentex_operator.reconcile.parsing import parsed
from agentex_testkit import samples
from agentex_testkit.builders import a_deployment, an_account, an_image

METADATA = {"name": "quote", "namespace": "team", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
KINDS: dict[type[Resource], dict[str, Any]] = {
    AgentBuild: an_image(),
    AgentDeployment: a_deployment(preview={"label": "x"}, image={"name": "q", "tag": "v"}),
    AgentexAccount: an_account("https://a.example"),
    ClusterAgentexAccount: an_account("https://a.example"),
}
DATES = ("9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00", "0000-00-00T00:00:00Z", "2026-02-30T00:00:00Z",
         "2026-01-01", "2026-01-01T00:00:00", "10000-01-01T00:00:00Z", "-1", "9" * 40, "1e400", "NaN")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(DATES),
                    st.sampled_from(["9" * 31 + "h", "\ud800", "https://[::1", "1" * 5000, "", "{}"]))
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                                       max_size=3), max_leaves=8)


def read(kind: type[Resource], **members: Any) -> Resource | InvalidObject:
    return parsed(kind.parse, {**KINDS[kind], "metadata": METADATA, **members})


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_utc_cannot_express_is_named(moment: str) -> None:
    found = read(AgentDeployment, spec=a_deployment(preview={"expiresAt": moment})["spec"])

    assert isinstance(found, InvalidObject)
    assert found.message.startswith("spec.preview.expiresAt: must be a time between 0001-01-01T00:00:00Z and ")


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00"])
def test_every_time_that_utc_can_express_is_read(moment: str) -> None:
    assert isinstance(read(AgentDeployment, spec=a_deployment(preview={"expiresAt": moment})["spec"]), AgentDeployment)


def test_a_source_that_is_nested_too_deeply_is_a_finding() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    found = read(AgentBuild, spec={**KINDS[AgentBuild]["spec"], "source": {"unknown": deep}})

    assert isinstance(found, InvalidObject)


def places(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    members = value.items() if isinstance(value, dict) else ()
    return [path, *(place for key, one in members for place in places(one, (*path, key)))]


def put(value: Any, path: tuple[str, ...], new: object) -> Any:
    if not path:
        return new
    return {**value, path[0]: put(value[path[0]], path[1:], new)}


@settings(max_examples=samples.examples(400), deadline=None)
@given(st.data())
def test_any_json_in_any_member_is_a_resource_or_a_finding(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)))
    whole = {**KINDS[kind], "status": {"observedGeneration": 1, "conditions": [], "attempt": 0}}
    path = data.draw(st.sampled_from([place for place in places(whole) if place[:1] in (("spec",), ("status",))]))
    changed = put(whole, path, data.draw(JSON))

    found = parsed(kind.parse, {**changed, "metadata": METADATA})

    assert isinstance(found, kind | InvalidObject)


@settings(max_examples=samples.examples(200), deadline=None)
@given(st.dictionaries(st.sampled_from(["preview", "timeout", "retries", "source", "manifest", "image", "buildArgs",
                                        "endpoint", "limits", "namespaceSelector", "deletionPolicy"]), JSON))
def test_any_json_in_many_members_is_a_resource_or_a_finding(members: dict[str, Any]) -> None:
    for kind in KINDS:
        found = read(kind, spec={**KINDS[kind]["spec"], **members})

        assert isinstance(found, kind | InvalidObject)
