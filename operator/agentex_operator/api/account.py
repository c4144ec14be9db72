"""AgentexAccount and ClusterAgentexAccount: "with this key, that remote account answers"."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.common import CONFIG, BaseStatus, Duration, KeyRef, Meta, adapter, duration

Label = Annotated[str, Field(max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Limits:
    """How hard the account may be worked."""

    requests_per_second: Annotated[int, Field(ge=1, le=1000, description="Most requests to the account in a second. Defaults to 20.")] = 20


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AccountSpec:
    """Where, and as whom."""

    endpoint: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", description="Address of the API, for example https://api.egp.scale.com; https, unless the operator allows http for a local simulator. Immutable.")]
    account_id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$", description="Id of the remote account. Immutable.")]
    api_key_secret_ref: Annotated[KeyRef, Field(description="Key of a Secret that holds the API key. A changed Secret is noticed by itself.")]
    poll_interval: Annotated[Duration, Field(description="How often running work is looked at, from 1s to 5m. Defaults to 5s.")] = "5s"
    limits: Annotated[Limits, Field(description="How hard the account may be worked.")] = Limits()

    @property
    def poll(self) -> timedelta:
        """The poll interval."""
        return duration(self.poll_interval)

    @property
    def namespace_selector(self) -> LabelSelector | None:
        """Which namespaces may use it; None allows all."""
        return None

    @property
    def is_default(self) -> bool:
        """Whether resources without accountRef may fall back on it."""
        return False


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class LabelSelectorRequirement:
    """One requirement on a label (metav1.LabelSelectorRequirement)."""

    key: Annotated[Label, Field(description="Label the requirement is about.")]
    operator: Annotated[Literal["In", "NotIn", "Exists", "DoesNotExist"], Field(description="How the label is compared.")]
    values: Annotated[tuple[LabelValue, ...], Field(max_length=100, description="Values for In and NotIn.", json_schema_extra={"x-kubernetes-list-type": "atomic"})] = ()


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class LabelSelector:
    """Which objects are meant (metav1.LabelSelector); empty means all."""

    match_labels: Annotated[Mapping[Label, LabelValue], Field(max_length=100, description="Labels that must be there, with these values.")] = MappingProxyType({})
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=100, description="Requirements that must all hold.", json_schema_extra={"x-kubernetes-list-type": "atomic"})] = ()


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ClusterAccountSpec(AccountSpec):
    """Where, as whom, and for which namespaces."""

    selector: Annotated[LabelSelector | None, Field(alias="namespaceSelector", description="Namespaces that may use the account, by their labels. Left out, all may.")] = None
    default: Annotated[bool, Field(description="True lets resources without accountRef use it, in namespaces without an AgentexAccount named default. Defaults to false.")] = False

    @property
    def namespace_selector(self) -> LabelSelector | None:
        """Which namespaces may use it; None allows all."""
        return self.selector

    @property
    def is_default(self) -> bool:
        """Whether resources without accountRef may fall back on it."""
        return self.default


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BuildCounts:
    """Remote builds of the account that are under way."""

    queued: Annotated[int, Field(description="Builds that wait.")] = 0
    running: Annotated[int, Field(description="Builds that run.")] = 0


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class DeploymentCounts:
    """Remote deployments of the account."""

    healthy: Annotated[int, Field(description="Deployments that are healthy.")] = 0
    failed: Annotated[int, Field(description="Deployments that failed.")] = 0
    previews: Annotated[int, Field(description="Previews that are healthy.")] = 0


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AccountStatus(BaseStatus):
    """What is known of the account."""

    builds: Annotated[BuildCounts, Field(description="Remote builds under way, as far as they are looked at.")] = BuildCounts()
    deployments: Annotated[DeploymentCounts, Field(description="Remote deployments, as far as they are looked at.")] = DeploymentCounts()
    throttled: Annotated[bool, Field(description="Whether the remote asked to be called less often.")] = False


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class AgentexAccount:
    """One AgentexAccount."""

    meta: Meta
    spec: AccountSpec
    status: AccountStatus

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> AgentexAccount:
        """The typed resource. Raises ValidationError where it does not fit."""
        return cls(meta=Meta.parse(obj), spec=adapter(AccountSpec).validate_python(obj.get("spec") or {}),
                   status=adapter(AccountStatus).validate_python(obj.get("status") or {}))


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ClusterAgentexAccount:
    """One ClusterAgentexAccount."""

    meta: Meta
    spec: ClusterAccountSpec
    status: AccountStatus

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> ClusterAgentexAccount:
        """The typed resource. Raises ValidationError where it does not fit."""
        return cls(meta=Meta.parse(obj), spec=adapter(ClusterAccountSpec).validate_python(obj.get("spec") or {}),
                   status=adapter(AccountStatus).validate_python(obj.get("status") or {}))
