"""The build to deploy: the AgentBuild that buildRef names, or the remote build that buildID names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from agentex_operator.core import calls, conditions, failures, installed_crds, reasons
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.failures import Failure, FailureClass
from agentex_operator.core.plan import Plan, Verdict
from agentex_operator.core.protocol import conversation, settle
from agentex_operator.core.remote import BuildRecord, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.calls import ConfirmBuild, ReadAgentBuild, ReadBuildManifest
    from agentex_operator.core.deployment.observed import Observed

_CREATE_IT = "Create it, or correct spec.buildRef."
IN_FLIGHT = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.LEAVING, RemoteState.UNKNOWN})


def wait_for_the_build(observed: Observed, _now: datetime) -> Verdict | None:
    """A deployment follows its build; while a new one is made, the old deployment goes on serving."""
    trouble = build_trouble(observed)
    if trouble is None or observed.expired_at_start:
        return None
    verdict = conversation.failed(observed, trouble)
    broken = observed.build is None or conditions.is_true(observed.build.status.conditions, conditions.STALLED)
    return verdict if broken else replace(verdict, ready="Unknown")


def build_trouble(observed: Observed) -> Failure | None:
    """Why the build that buildRef names cannot be deployed yet; None if it can, or none is named."""
    ref = observed.spec.build_ref
    if ref is None or observed.build_id is not None:
        return None
    if observed.build is None:
        return _no_build(observed, ref.name)
    stalled = conditions.find(observed.build.status.conditions, conditions.STALLED)
    why = _unless_deleting(observed, f"It is stalled: {stalled.message}" if stalled else "This follows it.")
    return Failure(FailureClass.BLOCKED if stalled else FailureClass.WAITING, reasons.BUILD_NOT_READY,
                   f"AgentBuild {ref.name!r} has no image yet.{why}")


def _no_build(observed: Observed, name: str) -> Failure:
    """There is no AgentBuild of this name, or the cluster does not even serve the kind."""
    if observed.builds_served:
        return failures.not_ready(
            reasons.BUILD_NOT_FOUND,
            f"There is no AgentBuild {name!r} in this namespace.{_unless_deleting(observed, _CREATE_IT)}")
    step = f"{installed_crds.INSTALL} Then create AgentBuild {name!r} again."
    return failures.not_ready(reasons.CRD_MISSING, installed_crds.not_served("AgentBuild")
                              + _unless_deleting(observed, step))


def _unless_deleting(observed: Observed, step: str) -> str:
    """The step, after a space; empty for a resource that is being deleted: its namespace may be deleted with it."""
    return "" if observed.meta.deleting else f" {step}"


def check_the_named_build(observed: Observed, _now: datetime) -> Plan[ConfirmBuild] | Verdict | None:
    """The build that buildID names is looked at once, right before it is deployed."""
    if observed.spec.build_id is None:
        return None
    if observed.named_build is None:
        return Plan(calls.ConfirmBuild(observed.spec.build_id))
    (record,) = observed.named_build
    if record is not None and record.state is RemoteState.SUCCEEDED:
        return None
    return conversation.failed(observed, _not_deployable(observed.spec.build_id, record))


def _not_deployable(build_id: str, record: BuildRecord | None) -> Failure:
    if record is None:
        return failures.not_ready(reasons.BUILD_NOT_FOUND,
                                  f"The account has no build {build_id!r}. Correct spec.buildID.")
    said = f"Build {build_id!r} is {record.raw_status}, and only a successful one can be deployed."
    if record.state in IN_FLIGHT:
        return Failure(FailureClass.WAITING, reasons.BUILD_NOT_READY, f"{said} This follows it.")
    return Failure(FailureClass.BLOCKED, reasons.BUILD_NOT_READY, f"{said} Correct spec.buildID.")


def fetch_the_manifest(observed: Observed, _now: datetime) -> Plan[ReadBuildManifest] | Verdict | None:
    """With fromBuild the context is fetched again, and must still be the one that was built."""
    build = observed.build
    if not observed.spec.manifest.from_build or build is None:
        return None
    if observed.built_from is None:
        return Plan(calls.ReadBuildManifest(build.spec.source, build.spec.context))
    if observed.built_from[0] == build.status.context_digest:
        return None
    return conversation.failed(observed, Failure(
        FailureClass.WAITING, reasons.SOURCE_MOVED,
        f"The source of AgentBuild {build.meta.name!r} moved on since it was built; waiting for its next build."))


def settle_read(observed: Observed, call: ReadAgentBuild | ConfirmBuild | ReadBuildManifest,
                outcome: object) -> Observed:
    """The answer is known for the rest of this pass; an error ends the pass."""
    if isinstance(outcome, ExternalError):
        return _failed_to_read(observed, call, outcome)
    match call:
        case calls.ReadAgentBuild():
            return replace(observed, build=call.read(outcome), read_live=observed.read_live | {call})
        case calls.ConfirmBuild():
            return replace(observed, named_build=(call.read(outcome),))
        case calls.ReadBuildManifest():
            return replace(observed, built_from=call.read(outcome))
        case _:
            assert_never(call)


def _failed_to_read(observed: Observed, call: ReadAgentBuild | ConfirmBuild | ReadBuildManifest,
                    error: ExternalError) -> Observed:
    """The pass has failed; what is wrong with the source of the AgentBuild is said of the AgentBuild."""
    after, ref = settle.fail(observed, error), observed.spec.build_ref
    if not isinstance(call, calls.ReadBuildManifest) or after.failure is None or ref is None:
        return after
    message = f"The manifest in the source of AgentBuild {ref.name!r} cannot be read: {after.failure.message}"
    return replace(after, failure=replace(after.failure, message=message))
