"""Which objects an object of each kind refers to, by kind, namespace and name: what the index of dependents is made of.

Pure functions of raw objects. A malformed object refers to what can be read of it; none of these functions raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agentex_operator.core import account_binding, endpoints
from agentex_operator.core.endpoints import RemoteAccount
from agentex_operator.kube.kinds import (
    AGENT_BUILD,
    AGENTEX_ACCOUNT,
    CLUSTER_AGENTEX_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    Kind,
)
from agentex_operator.reconcile.dependents import ANY_NAME
from agentex_operator.reconcile.views import Key

if TYPE_CHECKING:
    from agentex_operator.reconcile.dependents import References
    from agentex_operator.reconcile.views import View
    from agentex_operator.sources.registry import Kinds as SourceKinds

Member = tuple[str, ...]  # the path of a member that names an object of the same namespace

SOURCE: Member = ("spec", "source")
SOURCE_OBJECTS: Mapping[str, Kind] = {kind.kind: kind for kind in (CONFIG_MAP, SECRET)}
DEPLOYMENT_MEMBERS: tuple[tuple[Kind, Member], ...] = (
    (AGENT_BUILD, ("spec", "buildRef")),
    (CONFIG_MAP, ("spec", "manifest", "configMapKeyRef")),
    (CONFIG_MAP, ("spec", "environments", "configMapKeyRef")),
)
ACCOUNT_MEMBERS: tuple[tuple[Kind, Member], ...] = ((SECRET, ("spec", "apiKeySecretRef")),)
REMOTE_AGENT: Final = "the remote agent of a production deployment"  # as a kind in the index; no kind is called so
BOUND_ACCOUNT: Member = ("status", "account")
SPEC: Member = ("spec",)
ACCOUNT_REFERENCES: tuple[Member, ...] = (BOUND_ACCOUNT, ("spec", "accountRef"))


def build_references(view: View) -> frozenset[Key]:
    """The accounts that an AgentBuild may use; `source_references` has the objects that its source names."""
    return _accounts(view)


def source_references(kinds: SourceKinds) -> References:
    """A function of a view to the ConfigMaps and Secrets that its `spec.source` names, for these kinds of sources."""
    members = tuple((SOURCE_OBJECTS[one.kind], (*SOURCE, kind.member, *one.path))
                    for kind in kinds for one in kind.references)
    return lambda view: _named(view, view.namespace, members)


def joined(*functions: References) -> References:
    """A function of a view to everything that one of these functions finds in it."""
    return lambda view: frozenset[Key]().union(*(function(view) for function in functions))


def deployment_references(view: View) -> frozenset[Key]:
    """The accounts, the AgentBuild and the ConfigMaps of an AgentDeployment; of a production one the agent, too."""
    return _accounts(view) | _named(view, view.namespace, DEPLOYMENT_MEMBERS) | _remote_agents(view)


def remote_agent(account: RemoteAccount, agent: str) -> Key:
    """The key of an agent in a remote account, whatever account object leads there.

    Production AgentDeployments refer to it, so that those which replace each other's deployment are found.
    """
    return REMOTE_AGENT, f"{endpoints.one_spelling(account.endpoint)} {account.account_id}", agent


def account_references(operator_namespace: str) -> References:
    """A function of an account's view to the Secret with its API key.

    The Secret is in the namespace of an AgentexAccount, and in the operator's own for a ClusterAgentexAccount.
    """
    return lambda view: _named(view, view.namespace or operator_namespace, ACCOUNT_MEMBERS)


def bound_account(view: View) -> Key | None:
    """The account in which the remote objects of a resource live; None before the first create."""
    return _account(view, BOUND_ACCOUNT)


def remote_account(view: View, member: Member) -> RemoteAccount | None:
    """The remote account that a member names by endpoint and accountID; None where one of them cannot be read."""
    found = _at(view.obj, member)
    endpoint, account_id = _text(found.get("endpoint")), _text(found.get("accountID"))
    return RemoteAccount(endpoint, account_id) if endpoint and account_id else None


def _account(view: View, member: Member) -> Key | None:
    """The key of the account that a member names; None where it names none."""
    found = _at(view.obj, member)
    name, kind = _text(found.get("name")), _text(found.get("kind")) or AGENTEX_ACCOUNT.kind
    return account_binding.account_key(kind, view.namespace, name) if name else None


def _accounts(view: View) -> frozenset[Key]:
    """The account that a resource is bound to and the one that it names; without both, every possible default."""
    found = (_account(view, member) for member in ACCOUNT_REFERENCES)
    named = frozenset(key for key in found if key is not None)
    return named or _possible_defaults(view.namespace)


def _remote_agents(view: View) -> frozenset[Key]:
    """The agent that a production deployment was last deployed for; none before its first create."""
    account, agent = remote_account(view, BOUND_ACCOUNT), _text(_at(view.obj, ("status",)).get("agentName"))
    is_preview = _at(view.obj, SPEC).get("preview") is not None
    if account is None or not agent or is_preview:
        return frozenset()
    return frozenset({remote_agent(account, agent)})


def _possible_defaults(namespace: str | None) -> frozenset[Key]:
    """The AgentexAccount `default` of the namespace, and any ClusterAgentexAccount: each may be made the default."""
    own = account_binding.account_key(AGENTEX_ACCOUNT.kind, namespace, account_binding.DEFAULT)
    return frozenset({own, (CLUSTER_AGENTEX_ACCOUNT.kind, None, ANY_NAME)})


def _named(view: View, namespace: str | None, members: tuple[tuple[Kind, Member], ...]) -> frozenset[Key]:
    return frozenset((kind.kind, namespace, name) for kind, member in members
                     if (name := _text(_at(view.obj, member).get("name"))))


def _at(obj: Mapping[str, object], member: Member) -> Mapping[str, object]:
    """The mapping at that path; an empty one where there is none."""
    found: object = obj
    for name in member:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
