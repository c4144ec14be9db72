"""AgentexAccount and ClusterAgentexAccount: the address of the remote API, and the account and key to use."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, JsonValue
from pydantic.dataclasses import dataclass

from agentex_operator.api.metadata import Resource
from agentex_operator.api.references import ApiKeyInSecret
from agentex_operator.api.scalars import Between, Count, Duration, duration
from agentex_operator.api.schema import Names, immutable, model
from agentex_operator.api.status import Status

AGENTEX_ACCOUNT: Final = Names(kind="AgentexAccount", plural="agentexaccounts", singular="agentexaccount", short="aga")
CLUSTER_AGENTEX_ACCOUNT: Final = Names(kind="ClusterAgentexAccount", plural="clusteragentexaccounts",
                                       singular="clusteragentexaccount", short="caga", namespaced=False)

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]
# Server-side apply turns a map into null when its last member is removed. If the schema refused null, that edit would
# fail with an obscure message, and Flux could not make it: so null means an empty map.
MAY_BE_NULL: Final[dict[str, JsonValue]] = {"nullable": True}


def _map_or_empty(given: Any) -> Any:
    return {} if given is None else given


@dataclass(frozen=True, kw_only=True, config=model())
class LabelSelectorRequirement:
    """One requirement on a label."""

    key: Annotated[LabelKey, Field(description="The label, for example `team`.")]
    operator: Annotated[Literal["In", "NotIn", "Exists", "DoesNotExist"], Field(
        description="How the label and the values relate: In, NotIn, Exists or DoesNotExist.")]
    values: Annotated[tuple[LabelValue, ...], Field(
        max_length=100, json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The values for In and NotIn, at most 100; omitted for Exists and DoesNotExist.")] = ()


@dataclass(frozen=True, kw_only=True, config=model())
class LabelSelector:
    """Which namespaces (metav1.LabelSelector): all that meet every requirement; `{}` means all."""

    match_labels: Annotated[Mapping[LabelKey, LabelValue], Field(
        max_length=100, default_factory=dict, json_schema_extra=MAY_BE_NULL,
        description="Labels that must have exactly these values, for example `{team: support}`. Omitted: none must."),
        BeforeValidator(_map_or_empty)]
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(
        max_length=100, json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Requirements on labels, all of which must hold. Omitted: none must.")] = ()


@dataclass(frozen=True, kw_only=True, config=model())
class Limits:
    """How much the operator may ask of the remote API."""

    requests_per_second: Annotated[int, Field(
        ge=1, le=1000, json_schema_extra={"format": "int32"},
        description="How many calls per second the operator makes to this account at most, 1 to 1000, by default 20.",
    )] = 20


_ANOTHER: Final = "another remote account is another resource; create one, and point accountRef at it"
_SAME_REMOTE: Final = (immutable("endpoint", _ANOTHER), immutable("accountID", _ANOTHER))


@dataclass(frozen=True, kw_only=True, config=model(*_SAME_REMOTE))
class AccountSpec:
    """Where the remote API is, and as whom to speak to it."""

    endpoint: Annotated[str, Field(
        min_length=8, max_length=2048, pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$",
        description="Address of the remote API, for example `https://api.egp.scale.com`, without credentials, query "
        "or fragment. http:// works only when the operator is started with --allow-http-endpoints, for a local "
        "simulator. The operator sends API keys only to hosts that its --allowed-endpoints names, by default "
        "`*.scale.com`; the endpoint of a ClusterAgentexAccount needs no entry. Immutable.")]
    account_id: Annotated[str, Field(
        min_length=1, max_length=128, pattern=r"^[!-~]+$",
        description="Id of the remote account, for example `acct-1`. Immutable.")]
    api_key_secret_ref: Annotated[ApiKeyInSecret, Field(
        description="The Secret and key that hold the API key: in the namespace of an AgentexAccount, in the "
        "operator's own namespace for a ClusterAgentexAccount. A changed key is used without a restart. Certificates "
        "under `ca.crt` of the Secret (PEM) are trusted for this account.")]
    poll_interval: Annotated[Duration, Between("1s", "5m"), Field(
        description="How often running work is looked at: a duration (h, m, s and ms) between 1s and 5m, by default "
        "5s.")] = "5s"
    limits: Annotated[Limits, Field(
        description="How much the operator may ask of the remote API; by default 20 calls per second.")] = Limits()

    @property
    def poll(self) -> timedelta:
        """The interval between two looks at running work."""
        return duration(self.poll_interval)

    @property
    def is_default(self) -> bool:
        """Whether resources that name no account use this account, in any namespace; False for a namespaced account."""
        return False

    @property
    def namespace_selector(self) -> LabelSelector | None:
        """The namespaces that may use it; None: all that can name it."""
        return None


@dataclass(frozen=True, kw_only=True, config=model(*_SAME_REMOTE))
class ClusterAccountSpec(AccountSpec):
    """Where the remote API is, as whom to speak to it, and who may."""

    namespace_selector: Annotated[LabelSelector | None, Field(
        json_schema_extra=MAY_BE_NULL,
        description="Which namespaces may use this account, by their labels. Omitted: all.")] = None
    default: Annotated[bool, Field(
        description="True makes this the account of resources that name none, in namespaces without an AgentexAccount "
        "named `default`; of several the first by name. By default false.")] = False

    @property
    def is_default(self) -> bool:
        """Whether resources that name no account use this account."""
        return self.default


@dataclass(frozen=True, kw_only=True, config=model())
class BuildCounts:
    """How many remote builds of the operator's are where."""

    queued: Annotated[Count, Field(description="Waiting to be built.")] = 0
    running: Annotated[Count, Field(description="Being built.")] = 0


@dataclass(frozen=True, kw_only=True, config=model())
class DeploymentCounts:
    """How many remote deployments of the operator's are where."""

    healthy: Annotated[Count, Field(description="Running well.")] = 0
    failed: Annotated[Count, Field(description="Failed.")] = 0
    previews: Annotated[Count, Field(description="Previews that have not ended.")] = 0


@dataclass(frozen=True, kw_only=True, config=model())
class AccountStatus(Status):
    """Whether the account answers, and what it holds."""

    builds: Annotated[BuildCounts, Field(
        description="Remote builds in the account that are under way.")] = BuildCounts()
    deployments: Annotated[DeploymentCounts, Field(
        description="Remote deployments in the account.")] = DeploymentCounts()
    throttled: Annotated[bool, Field(
        description="Whether the remote API asks the operator to slow down.")] = False


@dataclass(frozen=True, kw_only=True, config=model())
class AccountResource(Resource):
    """A remote account."""

    spec: AccountSpec
    status: AccountStatus = AccountStatus()


@dataclass(frozen=True, kw_only=True, config=model())
class AgentexAccount(AccountResource):
    """A remote account, for the AgentBuilds and AgentDeployments of its namespace. For example:

    apiVersion: agentex.scale.com/v1alpha1
    kind: AgentexAccount
    metadata: {name: default}
    spec:
      endpoint: https://api.egp.scale.com
      accountID: acct-1
      apiKeySecretRef: {name: agentex, key: api-key}
    """

    names: ClassVar[Names] = AGENTEX_ACCOUNT


@dataclass(frozen=True, kw_only=True, config=model())
class ClusterAgentexAccount(AccountResource):
    """A remote account for the AgentBuilds and AgentDeployments of many namespaces. For example:

    apiVersion: agentex.scale.com/v1alpha1
    kind: ClusterAgentexAccount
    metadata: {name: shared}
    spec:
      endpoint: https://api.egp.scale.com
      accountID: acct-1
      apiKeySecretRef: {name: agentex, key: api-key}
      namespaceSelector: {matchLabels: {agentex: "true"}}
      default: true
    """

    names: ClassVar[Names] = CLUSTER_AGENTEX_ACCOUNT
    spec: ClusterAccountSpec
