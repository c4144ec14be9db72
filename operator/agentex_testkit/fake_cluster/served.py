"""The kinds that a fake API server serves, and what it does with the objects of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from agentex_operator.api import crds
from agentex_operator.api.account import AgentexAccount, ClusterAgentexAccount
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.kube.kinds import (
    AGENT_BUILD,
    AGENT_DEPLOYMENT,
    AGENTEX_ACCOUNT,
    CLUSTER_AGENTEX_ACCOUNT,
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    SECRET,
    Kind,
)
from agentex_testkit.fake_cluster import schema
from agentex_testkit.fake_cluster.answers import ApiError
from agentex_testkit.fake_cluster.schema import Rules


@dataclass(frozen=True)
class Served:
    """One kind; `schema` is that of the whole object, or None for a kind that no CRD defines.

    A kind of a CRD has a status subresource and counts its generation.
    """

    kind: Kind
    schema: Mapping[str, Any] | None = None

    @property
    def has_status(self) -> bool:
        """Whether status is written apart from the rest."""
        return self.schema is not None

    @cached_property
    def _defaults(self) -> Mapping[str, Any]:
        return schema.defaults_of(self.schema or {})

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self.schema or {})

    def taken_in(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as it would be stored: pruned and with its defaults."""
        if self.schema is None:
            return dict(obj)
        return {**self.read({**schema.pruned(self.schema, dict(obj))}), "metadata": obj["metadata"]}

    def read(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stored object as a reader sees it: with the defaults of today."""
        found: dict[str, Any] = schema.copied(obj)
        schema.fill_in(self._defaults, found)
        return found

    def check(self, obj: Mapping[str, Any]) -> None:
        """Raise ApiError 422 for an object that breaks the schema."""
        wrong = self._rules.errors(dict(obj))
        if wrong:
            raise ApiError(422, f"{self.kind.kind} {obj['metadata']['name']!r} is invalid: {'; '.join(wrong)}")


@cache
def operators_kinds() -> tuple[Served, ...]:
    """The kinds of this operator by their own CRDs, and the others that it reads or writes."""
    models = ((AGENT_BUILD, AgentBuild), (AGENT_DEPLOYMENT, AgentDeployment), (AGENTEX_ACCOUNT, AgentexAccount),
              (CLUSTER_AGENTEX_ACCOUNT, ClusterAgentexAccount))
    ours = tuple(Served(kind, crds.schema(model)) for kind, model in models)
    return ours + tuple(Served(kind) for kind in (CONFIG_MAP, SECRET, NAMESPACE, EVENT))
