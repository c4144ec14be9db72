"""Which resources hold an account that is being deleted, and what the account's status says of them.

An account has our finalizer before resources may use it. The finalizer stays until no resource is bound to the account:
only with the account can the operator remove what these resources created.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentex_operator.api.metadata import FINALIZER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentex_operator.api.metadata import Meta
    from agentex_operator.core.account_remedies import AccountKey
    from agentex_operator.core.endpoints import RemoteAccount

MOST_NAMES: Final = 3  # resources that a message names


@dataclass(frozen=True, slots=True)
class BoundResource:
    """A resource as far as it may hold an account.

    `account` and `remote`: from `status.account`, None before the first create. `has_finalizer`: whether it has our
    finalizer, which it loses when nothing remote of it is left.
    """

    kind: str
    namespace: str | None
    name: str
    account: AccountKey | None
    remote: RemoteAccount | None
    has_finalizer: bool
    deleting: bool


AccountHolders = tuple[BoundResource, ...]


def holders(key: AccountKey, remote: RemoteAccount | None, resources: Iterable[BoundResource]) -> AccountHolders:
    """Those of the resources that hold the account of this key, sorted by kind, namespace and name.

    `remote`: what the account object names; None if that cannot be read. A resource whose objects are in another remote
    account does not hold this one: it waits for the other, which has to be created under the same name.
    """
    found = (one for one in resources if one.account == key and one.has_finalizer and _may_serve(remote, one.remote))
    return tuple(sorted(found, key=lambda one: (one.kind, one.namespace or "", one.name)))


def _may_serve(remote: RemoteAccount | None, bound: RemoteAccount | None) -> bool:
    return remote is None or bound is None or remote.is_the_same_as(bound)


def may_go(meta: Meta, held_by: AccountHolders, *, in_use: bool) -> bool:
    """Whether the finalizer of an account may be removed. `in_use`: a pass that may still create something has it."""
    return meta.deleting and FINALIZER in meta.finalizers and not held_by and not in_use


def described(held_by: AccountHolders) -> str:
    """What holds a deleted account, and how that ends; `held_by` is not empty."""
    text = (f"{_counted(held_by)} created with this account {_named(held_by)}. The account stays until they are gone: "
            "it is needed to remove their remote objects.")
    living = tuple(one for one in held_by if not one.deleting)
    if not living:
        return f"{text} They are being deleted; the status of each says what it waits for."
    which = "them" if living == held_by else f"those that are not being deleted {_named(living)}"
    return f"{text} Delete {which}; with spec.deletionPolicy Orphan their remote objects stay."


def _counted(held_by: AccountHolders) -> str:
    counts = Counter(one.kind for one in held_by)
    return "Held by " + " and ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())


def _named(resources: AccountHolders) -> str:
    """The first resources by name, for example `in namespace team: AgentBuild quote, AgentBuild other and 2 more`."""
    namespaces = {one.namespace for one in resources}
    place = f"namespace {resources[0].namespace}" if len(namespaces) == 1 else f"{len(namespaces)} namespaces"
    names = [f"{one.kind} {one.name if len(namespaces) == 1 else f'{one.namespace}/{one.name}'}"
             for one in resources[:MOST_NAMES]]
    more = len(resources) - len(names)
    return f"in {place}: {', '.join(names)}" + (f" and {more} more" if more else "")
