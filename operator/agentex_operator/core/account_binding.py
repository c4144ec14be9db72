"""Which account a resource uses, whether it may use it, and why not: decisions on snapshots of accounts.

    AccountRequest + KnownAccounts --select--> AccountSnapshot --bind--> Account, or AccountProblem

A resource keeps the account in which its remote objects live (`status.account`); another account knows nothing of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, cast

from agentex_operator.api.account import AGENTEX_ACCOUNT, CLUSTER_AGENTEX_ACCOUNT
from agentex_operator.api.status import BoundAccount
from agentex_operator.core import account_remedies, conditions, reasons, selectors
from agentex_operator.core.endpoints import RemoteAccount
from agentex_operator.core.plan import AccountProblem, UsableAccount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentex_operator.api.account import AccountSpec
    from agentex_operator.api.metadata import Meta
    from agentex_operator.api.references import AccountRef
    from agentex_operator.api.scalars import AccountKind
    from agentex_operator.api.status import Condition, RemoteStatus
    from agentex_operator.core.account_remedies import AccountKey

DEFAULT = "default"  # the name of the AgentexAccount that serves its namespace without being named
NOT_RECONCILED = AccountProblem(reasons.ACCOUNT_NOT_READY, "The account was not looked at yet.", temporary=True)
TEMPORARY_REASONS = (reasons.REMOTE_UNAVAILABLE, reasons.THROTTLED, reasons.INTERNAL_ERROR)
USABLE_REASONS = (*TEMPORARY_REASONS, reasons.DELETING)


def account_key(kind: str, namespace: str | None, name: str) -> AccountKey:
    """The key of an account that a resource of this namespace names."""
    return kind, None if kind == CLUSTER_AGENTEX_ACCOUNT.kind else namespace, name


# --- snapshots ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """One account as its last pass left it.

    `problem`: why resources cannot use it; None if they can. `deleting`: its deletion was requested, so that it serves
    deletions only. `gone`: the object is no more; a session may remain while resources that are being deleted need it.
    """

    key: AccountKey
    spec: AccountSpec
    problem: AccountProblem | None
    has_session: bool
    gone: bool = False
    deleting: bool = False

    @property
    def is_leaving(self) -> bool:
        """Whether nothing new may be created with it."""
        return self.gone or self.deleting

    @property
    def account(self) -> UsableAccount:
        """The account as the rules of resources know it."""
        key_ref = self.spec.api_key_secret_ref if self.key[0] == AGENTEX_ACCOUNT.kind else None
        return UsableAccount(cast("AccountKind", self.key[0]), self.key[2], self.spec.account_id, self.spec.endpoint,
                             self.spec.poll, key_ref)


@dataclass(frozen=True, slots=True)
class KnownAccounts:
    """The accounts that come into question for one resource.

    `existing`: keys of the objects that the cluster has. One without a snapshot has its first pass still to come, or
    cannot be read: then `unreadable` has its problem. `missing_kinds`: of accounts, that the cluster does not serve.
    """

    snapshots: tuple[AccountSnapshot, ...] = ()
    existing: frozenset[AccountKey] = frozenset()
    unreadable: Mapping[AccountKey, AccountProblem] = field(default_factory=dict)
    missing_kinds: frozenset[str] = frozenset()

    def find(self, key: AccountKey) -> AccountSnapshot | None:
        """The snapshot of that account, or None."""
        return next((one for one in self.snapshots if one.key == key), None)


class NamesAccount(Protocol):
    """The spec of a resource that may name its account."""

    @property
    def account_ref(self) -> AccountRef | None:
        """The named account; None leaves the choice to the default rule."""
        ...


class AccountUser(Protocol):
    """A resource of any kind that uses an account."""

    @property
    def meta(self) -> Meta:
        """Its metadata."""
        ...

    @property
    def spec(self) -> NamesAccount:
        """Its spec."""
        ...

    @property
    def status(self) -> RemoteStatus:
        """Its status, which records the bound account."""
        ...


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """What one resource says of its account: `spec.accountRef`, and `status.account` once something was created."""

    namespace: str | None
    deleting: bool
    ref: AccountRef | None
    bound: BoundAccount | None

    @classmethod
    def of(cls, resource: AccountUser) -> Self:
        """The request of a resource."""
        return cls(resource.meta.namespace, resource.meta.deleting, resource.spec.account_ref, resource.status.account)

    @property
    def names_none(self) -> bool:
        """Whether the default rule chooses the account."""
        return self.bound is None and self.ref is None

    @property
    def key(self) -> AccountKey:
        """The account that the resource names; else the AgentexAccount named `default` in its namespace."""
        if self.bound is not None:
            return account_key(self.bound.kind, self.namespace, self.bound.name)
        if self.ref is not None:
            return account_key(self.ref.kind, self.namespace, self.ref.name)
        return account_key(AGENTEX_ACCOUNT.kind, self.namespace, DEFAULT)


# --- which account ------------------------------------------------------------------------------------------------


def select(request: AccountRequest, accounts: KnownAccounts) -> AccountSnapshot | AccountProblem:
    """The account that the resource uses: the bound one, the named one, or the default; or why there is none."""
    if request.names_none:
        return _select_default(request, accounts)
    found = accounts.find(request.key)
    if found is None or (found.gone and not request.deleting):
        return _missing(request, accounts)
    if found.deleting and not request.deleting:
        return account_remedies.being_deleted(request.key, request.bound)
    return _changed(found, request) or found


def _select_default(request: AccountRequest, accounts: KnownAccounts) -> AccountSnapshot | AccountProblem:
    own = accounts.find(request.key)
    if own is not None and not own.is_leaving:
        return own
    if accounts.missing_kinds:  # which one is the default cannot be known
        return _kind_missing(request, account_key(min(accounts.missing_kinds), request.namespace, DEFAULT))
    shared = [one for one in accounts.snapshots if one.spec.is_default and not one.is_leaving]
    if shared:
        return min(shared, key=lambda one: one.key[2])
    if own is not None and own.deleting:
        return account_remedies.being_deleted(request.key, request.bound)
    return _not_reconciled(request.key, accounts) or AccountProblem(
        reasons.ACCOUNT_NOT_FOUND, f"There is no AgentexAccount named {DEFAULT!r} in this namespace and no default "
        "ClusterAgentexAccount." + _next_step(
            request, f"Create an AgentexAccount named {DEFAULT!r}, or create this resource anew with spec.accountRef."))


def _missing(request: AccountRequest, accounts: KnownAccounts) -> AccountProblem:
    if request.key[0] in accounts.missing_kinds:
        return _kind_missing(request, request.key)
    return _not_reconciled(request.key, accounts) or AccountProblem(
        reasons.ACCOUNT_NOT_FOUND, f"There is no {request.key[0]} {request.key[2]!r}."
        + _next_step(request, account_remedies.how_to_get(request.bound)),
        remedy=account_remedies.for_missing(request.key, request.bound))


def _kind_missing(request: AccountRequest, key: AccountKey) -> AccountProblem:
    return account_remedies.kind_missing(key, request.bound, _next_step(
        request, account_remedies.to_install(key, request.bound, named=not request.names_none)))


def _next_step(request: AccountRequest, step: str) -> str:
    """The step, after a space; empty for a deletion, whose step is in `remedy`."""
    return "" if request.deleting else f" {step}"


def _not_reconciled(key: AccountKey, accounts: KnownAccounts) -> AccountProblem | None:
    """After a restart the pass of a resource may come before the first pass of its account, which wakes it."""
    return accounts.unreadable.get(key, NOT_RECONCILED) if key in accounts.existing else None


def _changed(found: AccountSnapshot, request: AccountRequest) -> AccountProblem | None:
    """The remote objects of a resource live in the account that it is bound to."""
    bound = request.bound
    if bound is None or _is_bound_to(found, bound):
        return None
    return AccountProblem(
        reasons.ACCOUNT_CHANGED,
        f"{bound.kind} {bound.name!r} now is account {found.spec.account_id} at {found.spec.endpoint}, but what this "
        f"resource created is in {bound.account_id} at {bound.endpoint}." + _next_step(
            request, "Restore the account, or delete this resource with deletionPolicy Orphan and create it anew."),
        remedy=account_remedies.for_changed(found.key, bound))


def _is_bound_to(found: AccountSnapshot, bound: BoundAccount) -> bool:
    there = RemoteAccount(found.spec.endpoint, found.spec.account_id)
    return there.is_the_same_as(RemoteAccount(bound.endpoint, bound.account_id))


# --- whether it may be used ---------------------------------------------------------------------------------------


def needs_namespace_labels(request: AccountRequest, accounts: KnownAccounts) -> bool:
    """Whether `bind` needs the labels of the resource's namespace, which the caller then has to read."""
    found = select(request, accounts)
    if isinstance(found, AccountProblem) or _unavailable(request, found) is not None:
        return False
    return found.spec.namespace_selector is not None and request.namespace is not None and not request.deleting


def bind(request: AccountRequest, accounts: KnownAccounts,
         namespace_labels: Mapping[str, str] | None = None) -> UsableAccount | AccountProblem:
    """The account that the resource uses in this pass, or why it uses none.

    `namespace_labels`: needed where `needs_namespace_labels` says so; None matches as an empty map.
    """
    found = select(request, accounts)
    if isinstance(found, AccountProblem):
        return found
    problem = _unavailable(request, found) or _forbidden(request, found, namespace_labels or {})
    return problem or (found.account if found.has_session else NOT_RECONCILED)


def _unavailable(request: AccountRequest, found: AccountSnapshot) -> AccountProblem | None:
    """Why nobody can use the account. A resource that is being deleted may still use the API key in memory."""
    problem = found.problem
    if problem is None or _can_be_torn_down(request, found, problem):
        return None
    return problem if problem.temporary else _as_seen_by_resources(request, found, problem)


def _can_be_torn_down(request: AccountRequest, found: AccountSnapshot, problem: AccountProblem) -> bool:
    """The deletion of a namespace removes the Secret before our finalizers are done (ecosystem.md R14)."""
    return request.deleting and found.has_session and problem.reason in account_remedies.KEY_REASONS


def _as_seen_by_resources(request: AccountRequest, found: AccountSnapshot, problem: AccountProblem) -> AccountProblem:
    (kind, _, name), ref = found.key, found.spec.api_key_secret_ref
    why = account_remedies.why_unusable(found.key, ref, problem, deleting=request.deleting)
    reason = problem.reason if problem.reason == reasons.ACCESS_DENIED else reasons.ACCOUNT_NOT_READY
    return AccountProblem(reason, f"{kind} {name!r} is not ready: {why}", stalled=problem.stalled,
                          remedy=account_remedies.for_unusable(found.key, ref, problem.reason))


def _forbidden(request: AccountRequest, found: AccountSnapshot, labels: Mapping[str, str]) -> AccountProblem | None:
    """Why this namespace may not use the account. What is being deleted may, so that nothing is left behind."""
    selector = found.spec.namespace_selector
    if selector is None or request.namespace is None or request.deleting or selectors.selects(selector, labels):
        return None
    return AccountProblem(
        reasons.ACCOUNT_NOT_ALLOWED, f"ClusterAgentexAccount {found.key[2]!r} is not for this namespace: its "
        "namespaceSelector does not match. Ask its owner to select the namespace, or create this resource anew with "
        "another spec.accountRef.")


# --- what the account's status says to its resources, and what theirs say of it -----------------------------------


def problem_of(stored: Iterable[Condition], *, has_session: bool) -> AccountProblem | None:
    """Why resources cannot use an account with these stored conditions; None if they can.

    An account whose remote API is temporarily unavailable stays usable, once its key was read (`has_session`); so does
    one that is being deleted, for deletions.
    """
    found = tuple(stored)
    ready = conditions.find(found, conditions.READY)
    if ready is None:
        return AccountProblem(reasons.ACCOUNT_NOT_READY, "It was not looked at yet.", temporary=True)
    if ready.status == "True" or (has_session and ready.reason in USABLE_REASONS):
        return None
    stalled = conditions.is_true(found, conditions.STALLED)
    return AccountProblem(reasons.stored(ready.reason), ready.message, stalled=stalled)


def bound_account(account: UsableAccount | AccountProblem, recorded: BoundAccount | None) -> BoundAccount | None:
    """`status.account` of a resource that creates something now; `recorded` where no account is at hand."""
    if isinstance(account, AccountProblem):
        return recorded
    return BoundAccount(kind=account.kind, name=account.name, account_id=account.account_id,
                        endpoint=account.endpoint)
