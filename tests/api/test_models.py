"""What the models read and write."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.api.objects import an_object, as_stored

from agentex_operator.api.account import AccountSpec, AgentexAccount, ClusterAgentexAccount
from agentex_operator.api.build import AgentBuild, AgentBuildStatus, Context
from agentex_operator.api.deployment import AgentDeployment, AgentDeploymentStatus, DeployEvent
from agentex_operator.api.metadata import Meta
from agentex_operator.api.scalars import duration, timestamp
from agentex_operator.api.status import Condition, status_as_dict
from agentex_operator.core.selectors import selects

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
READY = Condition(type="Ready", status="True", reason="Succeeded", message="Built.", observed_generation=3,
                  last_transition_time=NOON)


def a_build(**spec: Any) -> AgentBuild:
    return AgentBuild.parse(as_stored(an_object("AgentBuild", **spec)))


def metadata(**annotations: str) -> Meta:
    return Meta.parse(as_stored(an_object("AgentBuild"), annotations=annotations))


def test_a_context_without_a_mount_path_has_the_text_of_which_statuses_hold_a_digest() -> None:
    assert [repr(one) for one in (Context(), Context(path="a", mount_path="b"))] == [
        "Context(path='.', manifest='manifest.yaml')",
        "Context(path='a', manifest='manifest.yaml', mount_path='b')"]


def test_yaml_names_become_python_names() -> None:
    build = a_build(buildArgs=[{"name": "BASE", "value": "3.13"}], deletionPolicy="Orphan")

    assert (build.spec.build_args[0].value, build.spec.deletion_policy) == ("3.13", "Orphan")


def test_ids_are_written_in_capitals() -> None:
    assert a_build(agentName=None, agentID="agent-7").spec.agent_id == "agent-7"


def test_an_omitted_member_has_its_default() -> None:
    spec = a_build().spec

    assert (spec.timeout, spec.retries, spec.context.manifest, spec.suspend) == ("30m", 2, "manifest.yaml", False)


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert a_build(reuse="Never") == a_build()


def test_an_object_the_schema_would_not_let_through_is_refused_with_its_path() -> None:
    with pytest.raises(ValidationError) as refused:
        a_build(source={"http": {"url": "ftp://example.com/a.tar.gz", "digest": "sha256:" + "0" * 64}})

    assert refused.value.errors()[0]["loc"] == ("spec", "source", "http", "url")


@pytest.mark.parametrize(("interval", "meant"), [("1s", 1), ("5m", 300), ("1m30s", 90), ("1500ms", 1.5)])
def test_a_poll_interval_is_a_duration(interval: str, meant: float) -> None:
    account = AgentexAccount.parse(as_stored(an_object("AgentexAccount", pollInterval=interval)))

    assert account.spec.poll == timedelta(seconds=meant)


@pytest.mark.parametrize("interval", ["999ms", "5m1s", "0s", "9999999999999h"])
def test_a_poll_interval_out_of_bounds_is_refused(interval: str) -> None:
    with pytest.raises(ValidationError, match=r"must be a duration between 1s and 5m|too long"):
        AgentexAccount.parse(as_stored(an_object("AgentexAccount", pollInterval=interval)))


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5d", "1h 5m", "1.s", "PT1H"])
def test_a_text_that_is_no_duration_raises(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)


@given(hours=st.integers(0, 8760), minutes=st.integers(0, 600), millis=st.integers(0, 10_000))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, millis: int) -> None:
    meant = timedelta(hours=hours, minutes=minutes, milliseconds=millis)

    assert duration(f"{hours}h{minutes}m{millis}ms") == meant


def test_only_the_cluster_kind_can_be_a_default_and_choose_namespaces() -> None:
    wishes: dict[str, Any] = {"default": True, "namespaceSelector": {"matchLabels": {"team": "support"}}}
    own = AgentexAccount.parse(as_stored(an_object("AgentexAccount", **wishes)))
    shared = ClusterAgentexAccount.parse(as_stored(an_object("ClusterAgentexAccount", **wishes)))

    assert (own.spec.is_default, own.spec.namespace_selector) == (False, None)
    assert shared.spec.is_default
    assert shared.spec.namespace_selector is not None
    assert shared.spec.namespace_selector.match_labels == {"team": "support"}


@pytest.mark.parametrize("selector", [None, {}, {"matchLabels": None}], ids=repr)
def test_a_selector_whose_last_label_was_taken_away_selects_all(selector: Any) -> None:
    """Server-side apply leaves null where a map lost its last member."""
    stored = as_stored(an_object("ClusterAgentexAccount"))
    shared = ClusterAgentexAccount.parse({**stored, "spec": {**stored["spec"], "namespaceSelector": selector}})

    found = shared.spec.namespace_selector
    assert found is None or selects(found, {"team": "support"})


def test_both_kinds_of_account_have_one_kind_of_spec() -> None:
    shared = ClusterAgentexAccount.parse(as_stored(an_object("ClusterAgentexAccount")))

    assert isinstance(shared.spec, AccountSpec)


def test_values_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        a_build().spec.suspend = True  # type: ignore[misc]  # that is the point


def test_a_status_never_written_says_minus_one() -> None:
    assert a_build().status.observed_generation == -1


def test_an_unwritten_status_has_only_its_generation() -> None:
    assert status_as_dict(AgentDeploymentStatus()) == {"observedGeneration": -1}


def test_a_status_is_read_back_as_it_was_written() -> None:
    status = AgentDeploymentStatus(
        observed_generation=3, conditions=(READY,), deployment_id="dep-1", expires_at=NOON,
        events=(DeployEvent(type="Normal", reason="Pulled", message="…", timestamp=NOON),),
    )
    stored = {**as_stored(an_object("AgentDeployment")), "status": status_as_dict(status)}

    assert AgentDeployment.parse(stored).status == status


def test_the_remote_id_is_kept_under_the_kinds_own_name() -> None:
    build, deployment = AgentBuildStatus().with_remote_id("b-1"), AgentDeploymentStatus().with_remote_id("d-1")

    assert (build.build_id, build.remote_id, deployment.deployment_id, deployment.remote_id) == (
        "b-1", "b-1", "d-1", "d-1")


@pytest.mark.parametrize(("moment", "text"), [
    (NOON, "2026-11-24T12:00:00Z"),
    (NOON + timedelta(microseconds=5), "2026-11-24T12:00:00.000005Z"),
    (NOON.astimezone(timezone(timedelta(hours=2))), "2026-11-24T12:00:00Z"),
])
def test_times_are_written_in_utc_with_microseconds_only_where_there_are_any(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        replace(READY, last_transition_time=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_remote_text_is_cut_to_its_bound_and_never_refused() -> None:
    status = AgentBuildStatus(remote_status="x" * 999, log_tail="begin" + "." * 5000 + "end",
                              failure_message="y" * 9999)

    assert (len(status.remote_status or ""), len(status.failure_message or "")) == (256, 1024)
    assert (status.log_tail or "")[-3:] == "end"
    assert len(status.log_tail or "") == 4096


@given(st.text(st.characters(codec=None), max_size=2000))
def test_any_remote_text_can_be_written(text: str) -> None:
    status = AgentBuildStatus(remote_status=text, log_tail=text, failure_message=text)

    assert json.dumps(status_as_dict(status), ensure_ascii=False).encode()


OURS, FLUX = "agentex.scale.com/reconcile-requested-at", "reconcile.fluxcd.io/requestedAt"
STANDING = "2026-11-24T04:00:00Z"


@pytest.mark.parametrize(("standing", "asking"), [(FLUX, OURS), (OURS, FLUX)], ids=["ours", "Flux's"])
@pytest.mark.parametrize("value", ["1795492800", "3000-01-01T00:00:00Z", "a", "~", STANDING])
def test_any_new_value_of_either_request_counts_beside_a_standing_one(standing: str, asking: str, value: str) -> None:
    before, after = metadata(**{standing: STANDING, asking: "before"}), metadata(**{standing: STANDING, asking: value})
    handled = AgentBuildStatus().handling_reconcile(before)

    assert handled.has_handled_reconcile(before)
    assert not handled.has_handled_reconcile(after)
    assert handled.handling_reconcile(after).has_handled_reconcile(after)


def test_a_request_that_is_removed_stays_handled() -> None:
    handled = AgentBuildStatus().handling_reconcile(metadata(**{OURS: "now", FLUX: STANDING}))

    assert handled.has_handled_reconcile(metadata())
    assert handled.handling_reconcile(metadata()) == handled


@pytest.mark.parametrize("annotation", [OURS, FLUX])
def test_an_overlong_request_for_a_reconcile_is_cut_so_that_it_can_be_acknowledged(annotation: str) -> None:
    asked = metadata(**{annotation: "z" * 100_000})

    assert AgentBuildStatus().handling_reconcile(asked).has_handled_reconcile(asked)


def test_an_overlong_request_is_cut_so_that_it_can_be_acknowledged() -> None:
    asked = metadata(**{"agentex.scale.com/rebuild-requested-at": "z" * 100_000}).rebuild_requested_at
    status = replace(AgentBuildStatus(), last_handled_rebuild_requested_at=asked)

    assert asked is not None
    assert status.last_handled_rebuild_requested_at == asked


def test_a_deletion_timestamp_means_deleting() -> None:
    stored = as_stored(an_object("AgentBuild"), deletionTimestamp="2026-11-24T04:00:00Z")

    assert Meta.parse(stored).deleting
