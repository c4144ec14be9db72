"""Kinds that begin with the object of another resource: named by a restored status, or by spec.adopt."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.model.builds import Build
from tests.model.deployments import Production
from tests.model.kinds import AGENT, CLUSTER, NAME, WAITING, Remote
from tests.model.values import ORIGIN

from agentex_operator.api.build import AgentBuildStatus
from agentex_operator.api.deployment import AgentDeploymentStatus
from agentex_operator.api.operator_memory import BuildMemory, DeploymentMemory
from agentex_operator.core import ownership, reasons
from agentex_operator.core.holders import Holder
from agentex_operator.core.remote import BuildRecord, DeploymentRecord

FIRST = "r1"
BEFORE = "uid-0"  # of the resource that created the object


class Restored(Build):
    """AgentBuild that came back from a backup with its status: the build is of a resource that is gone."""

    name = "restored"
    held_at_first = True  # a backup has the finalizers too

    @property
    def first_records(self) -> tuple[Remote, ...]:
        """The running build of the resource before; it belongs to this one by right."""
        tag = ownership.derived_tag("0" * 12, ownership.owner_of(CLUSTER, BEFORE), 1)
        return (Remote(BuildRecord(FIRST, WAITING, "queued", ORIGIN, NAME, AGENT, NAME, tag), 1, (0, 0)),)

    @property
    def first_status(self) -> Any:
        """The status of the backup."""
        return AgentBuildStatus(observed_generation=1, build_id=FIRST, attempt=1,
                                operator=BuildMemory(written_for=BEFORE))


class Adopting(Restored):
    """AgentBuild without a status whose spec.adopt names a build of a resource that is gone."""

    name = "adopting"
    held_at_first = False
    more: ClassVar[dict[str, Any]] = {"agentID": AGENT, "adopt": {"buildID": FIRST}}

    @property
    def first_status(self) -> Any:
        """None that names anything."""
        return self.empty


class Held(Adopting):
    """AgentBuild whose spec.adopt names a build that a living resource holds: uid 0 for the judge."""

    name = "held"
    refusal = reasons.ADOPTION_TARGET_HELD
    others = (Holder("AgentBuild", "team", "before", BEFORE, ORIGIN, holds=True),)

    @property
    def first_records(self) -> tuple[Remote, ...]:
        """The build of the living resource."""
        return tuple(one._replace(uid=0) for one in super().first_records)


class Moved(Production):
    """AgentDeployment that was moved here from another cluster, with its status."""

    name = "moved"
    held_at_first = True

    @property
    def first_records(self) -> tuple[Remote, ...]:
        """The deployment of the resource before, which rolls out."""
        token = ownership.deployment_token("cluster-before", BEFORE, "0" * 12, 1)
        record = DeploymentRecord(FIRST, WAITING, "pending", ORIGIN, "team-quote", build_id="build-1", token=token)
        return (Remote(record, 1, (0, 0)),)

    @property
    def first_status(self) -> Any:
        """The status of the backup."""
        return AgentDeploymentStatus(observed_generation=1, deployment_id=FIRST, build_id="build-1",
                                     operator=DeploymentMemory(attempt=1, written_for=BEFORE))


RESTORES = (Restored, Adopting, Held, Moved)
