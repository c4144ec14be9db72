"""The references of a spec to other objects of the cluster."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.scalars import AccountKind, ObjectName
from agentex_operator.api.schema import Rule, model, rule


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


def keeps_its_account(instead: str) -> Rule:
    """The rule of a whole resource that spec.accountRef stays as it is; its message says what to do instead.

    The reference may be added where it names the account in status.account: then it changes nothing.
    """
    names_the_bound_account = "has(self.status) && has(self.status.account) && " + " && ".join(
        f"self.spec.accountRef.{member} == self.status.account.{member}" for member in ("kind", "name"))
    return rule(
        "!has(self.spec.accountRef) ? !has(oldSelf.spec.accountRef) : !has(oldSelf.spec.accountRef) ? "
        f"({names_the_bound_account}) : self.spec.accountRef == oldSelf.spec.accountRef",
        "accountRef cannot be changed, added or removed, except that the account in status.account may be added: "
        f"{instead}", "spec.accountRef", "FieldValueForbidden")
