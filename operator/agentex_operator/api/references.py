"""The references of a spec to other objects of the cluster."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.scalars import AccountKind, ObjectName
from agentex_operator.api.schema import model


@dataclass(frozen=True, kw_only=True, config=model())
class AccountRef:
    """The account to use."""

    kind: Annotated[AccountKind, Field(
        description="Kind of the account: AgentexAccount (the default) in this namespace, or ClusterAgentexAccount, "
        "which serves many namespaces.")] = "AgentexAccount"
    name: Annotated[ObjectName, Field(description="Name of the account, for example `default`.")]


@dataclass(frozen=True, kw_only=True, config=model())
class KeyRef:
    """One key of a ConfigMap or Secret."""

    name: Annotated[ObjectName, Field(description="Name of the ConfigMap or Secret, for example `quote-bot`.")]
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$",
                              description="The key in it, for example `context.tar.gz` or `api-key`.")]


@dataclass(frozen=True, kw_only=True, config=model())
class NameRef:
    """An object in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the object, in the namespace of this resource.")]
