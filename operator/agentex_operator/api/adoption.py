"""What `spec.adopt` names: a remote object that exists already, to be taken over instead of creating one."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.scalars import GivenID
from agentex_operator.api.schema import model


@dataclass(frozen=True, kw_only=True, config=model())
class AdoptBuild:
    """A remote build that exists already."""

    build_id: Annotated[GivenID, Field(
        description="Id of the remote build to take over, for example the status.buildID of a backup.")]


@dataclass(frozen=True, kw_only=True, config=model())
class AdoptDeployment:
    """A remote deployment that exists already."""

    deployment_id: Annotated[GivenID, Field(
        description="Id of the remote deployment to take over, for example the status.deploymentID of a backup.")]
