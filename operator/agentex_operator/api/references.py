"""The references of a spec to other objects of the cluster."""

import dataclasses
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic.dataclasses import dataclass
from pydantic.json_schema import JsonSchemaValue

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


@dataclasses.dataclass(frozen=True)
class Members:
    """What `kubectl explain` says of the members of a reference where it is used, with an example of that use."""

    name: str
    key: str = ""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shared = handler.resolve_ref_schema(handler(schema))
        members = shared["properties"].items()
        return {**shared, "properties": {name: {**one, "description": getattr(self, name)} for name, one in members}}


ApiKeyInSecret = Annotated[KeyRef, Members(
    "Name of the Secret with the API key, for example `agentex`.",
    "The key of the Secret that holds the API key, for example `api-key`.")]
ArchiveInConfigMap = Annotated[KeyRef, Members(
    "Name of the ConfigMap with the archive, for example `quote-bot`.",
    "The key in its binaryData that holds the archive, for example `context.tar.gz`.")]
ArchiveInSecret = Annotated[KeyRef, Members(
    "Name of the Secret with the archive, for example `quote-bot`.",
    "The key of the Secret that holds the archive, for example `context.tar.gz`.")]
CredentialsInSecret = Annotated[NameRef, Members("Name of the Secret with the credentials, for example `files`.")]
BuildToDeploy = Annotated[NameRef, Members("Name of the AgentBuild to deploy, for example `quote-bot`.")]
ManifestInConfigMap = Annotated[KeyRef, Members(
    "Name of the ConfigMap with the manifest, for example `quote-bot`.",
    "The key of the ConfigMap that holds the manifest, for example `manifest.yaml`.")]
EnvironmentsInConfigMap = Annotated[KeyRef, Members(
    "Name of the ConfigMap with the environments, for example `quote-bot`.",
    "The key of the ConfigMap that holds the environments, for example `environments.yaml`.")]


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
