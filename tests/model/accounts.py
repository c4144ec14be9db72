"""The account in the model: it is deleted, taken away, becomes another, is forbidden, loses its key, and comes back.

There are two ClusterAgentexAccounts, both defaults: `main`, which all this happens to, and `other`, which is always
usable. The resource names none at first: until it is bound, the default rule gives it `main` where that exists, else
`other`. Once it is bound, the user may add the name of that account (`spec.accountRef`).
The production code (core/account_binding) decides which account a pass uses, on what the replica knows; what must come
of it (`obstacle`) is said here once more, without that code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model.values import ORIGIN

from agentex_operator.api.account import ClusterAccountSpec
from agentex_operator.api.metadata import FINALIZER, Meta
from agentex_operator.api.references import AccountRef
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import BoundAccount, Condition
from agentex_operator.core import account_binding, account_hold, conditions, reasons
from agentex_operator.core.account_binding import AccountRequest, AccountSnapshot, KnownAccounts
from agentex_operator.core.account_hold import BoundResource
from agentex_operator.core.endpoints import RemoteAccount
from agentex_operator.core.plan import AccountProblem, UsableAccount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.model.kinds import Object

PRESENT, GONE, CHANGED, FORBIDDEN, KEYLESS, UNSEEN, DELETED, RELEASED = range(8)
# DELETED: its deletion was requested, and our finalizer holds it. RELEASED: it is gone because we removed the
# finalizer; a replica that knows calls that GONE, as it does where somebody else removed the finalizer.
TROUBLES = {
    DELETED: "is deleted",
    GONE: "is deleted, and somebody removes its finalizer",
    CHANGED: "is deleted, and created with another accountID",
    FORBIDDEN: "no longer selects the namespace",
    KEYLESS: "loses its Secret",
}
MAIN, OTHER = "main", "other"
FIRST, SECOND = REMOTES = ("acct-1", "acct-2")  # the remote accounts; `main` is in the second while it is CHANGED

KEYS = {name: account_binding.account_key("ClusterAgentexAccount", None, name) for name in (MAIN, OTHER)}
_make = adapter(ClusterAccountSpec).validate_python
_usual = {"endpoint": "https://api.example", "apiKeySecretRef": {"name": "agentex", "key": "key"}, "default": True}
SPECS = dict.fromkeys(range(8), _make(_usual | {"accountID": FIRST})) | {
    CHANGED: _make(_usual | {"accountID": SECOND}),
    FORBIDDEN: _make(_usual | {"accountID": FIRST, "namespaceSelector": {"matchLabels": {"team": "another"}}}),
}
ALWAYS_THERE = AccountSnapshot(KEYS[OTHER], SPECS[CHANGED], None, has_session=True)


class Entry(NamedTuple):
    """What a replica knows of `main`: its state when the replica last reconciled it, and whether there is a session."""

    state: int
    session: bool = False   # this process has read the key
    used: bool = False      # a pass of the present resource has used the session


MAIN_IN_DELETION = Meta(name=MAIN, uid="main", creation_timestamp=ORIGIN, deletion_timestamp=ORIGIN,
                        finalizers=(FINALIZER,))
KNOWN = Entry(PRESENT, session=True)  # for searches in which nothing happens to the account


def after_start(state: int) -> Entry:
    """The entry of a process that has just started: the object may be in its cache, and was not reconciled."""
    return Entry(GONE if state in (GONE, RELEASED) else UNSEEN)


def reconciled(entry: Entry, state: int) -> Entry:
    """The entry after a pass over `main`; where the object is gone, its session stays as long as a resource uses it."""
    if state == GONE:
        kept = entry.session and entry.used and entry.state != CHANGED
        return Entry(GONE, session=kept, used=kept)
    if is_replaced(entry, state):
        return Entry(state, session=state != KEYLESS)
    return entry._replace(state=state, session=entry.session or state != KEYLESS)


def is_replaced(entry: Entry, state: int) -> bool:
    """Whether that pass finds another object under the name, and so closes the session of the one before it."""
    return entry.state != state and (state == CHANGED or entry.state in (CHANGED, GONE) or (
        entry.state == DELETED and state != GONE))


def wakes(entry: Entry, state: int) -> bool:
    """Whether that pass wakes the resources: an edited selector does not, which they find out by themselves."""
    return entry.state != state and {entry.state, state} != {PRESENT, FORBIDDEN}


def is_closed(entry: Entry, account: UsableAccount | AccountProblem) -> bool:
    """Whether the session of a pass that began with this account was closed since: it can send nothing more."""
    return isinstance(account, UsableAccount) and account.name == MAIN and not entry.used


def after_binding(entry: Entry, account: UsableAccount | AccountProblem) -> Entry:
    """The entry after a pass of the resource was given this account."""
    return entry._replace(used=True) if isinstance(account, UsableAccount) and account.name == MAIN else entry


def without_user(entry: Entry) -> Entry:
    """The entry after the resource has gone: the session of an account that went before it is closed."""
    return Entry(GONE) if entry.state == GONE else entry._replace(used=False)


# --- the production code's decision -------------------------------------------------------------------------------


class Bindings:
    """Which account each pass uses, remembered."""

    def __init__(self) -> None:
        self._found: dict[Any, UsableAccount | AccountProblem] = {}

    def of(self, entry: Entry, deleting: bool, bound: BoundAccount | None,
           named: str | None = None) -> UsableAccount | AccountProblem:
        """What a pass over a resource is given that is bound to that account, or to none, and names one, or none."""
        key = entry.state, entry.session, deleting, bound, named
        if key not in self._found:
            ref = None if named is None else AccountRef(kind="ClusterAgentexAccount", name=named)
            request = AccountRequest("team", deleting, ref, bound)
            self._found[key] = account_binding.bind(request, known(entry), {})
        return self._found[key]


def known(entry: Entry) -> KnownAccounts:
    """The accounts as the replica has them."""
    main = snapshot(entry)
    existing = frozenset() if entry.state == GONE else frozenset({KEYS[MAIN]})
    return KnownAccounts((ALWAYS_THERE,) if main is None else (ALWAYS_THERE, main), existing)


def snapshot(entry: Entry) -> AccountSnapshot | None:
    """What the entry of `main` says; None where there is no entry."""
    if entry.state == UNSEEN or (entry.state == GONE and not entry.session):
        return None
    problem = account_binding.problem_of(_conditions(entry.state), has_session=entry.session)
    return AccountSnapshot(KEYS[MAIN], SPECS[entry.state], problem, entry.session, gone=entry.state == GONE,
                           deleting=entry.state == DELETED)


def _conditions(state: int) -> Iterable[Condition]:
    """The conditions of `main` in that state."""
    reason = {KEYLESS: reasons.SECRET_NOT_FOUND, DELETED: reasons.DELETING}.get(state)
    return (Condition(type=conditions.READY, status="False" if reason else "True",
                      reason=reason or reasons.SUCCEEDED, message="-",
                      observed_generation=1, last_transition_time=ORIGIN),)


def may_be_released(obj: Object | None, bound: BoundAccount | None, *, in_use: bool) -> bool:
    """Whether a replica removes the finalizer of the deleted `main`, with this view of the resource."""
    key = None if bound is None else account_binding.account_key(bound.kind, "team", bound.name)
    remote = None if bound is None else RemoteAccount(bound.endpoint, bound.account_id)
    resources = () if obj is None else (
        BoundResource("Toy", "team", "toy", key, remote, has_finalizer=obj.held, deleting=obj.deleting),)
    spec = SPECS[DELETED]
    held_by = account_hold.holders(KEYS[MAIN], RemoteAccount(spec.endpoint, spec.account_id), resources)
    return account_hold.may_go(MAIN_IN_DELETION, held_by, in_use=in_use)


def may_create(observed: Any) -> bool:
    """Whether a pass in flight has `main`, and may still create something."""
    account = observed.account
    return isinstance(account, UsableAccount) and account.name == MAIN and not observed.meta.deleting


def remote_account(account: UsableAccount | AccountProblem) -> int:
    """The remote account that a pass speaks to, by its number."""
    assert isinstance(account, UsableAccount), "no call is made without an account"
    return REMOTES.index(account.account_id)


# --- the judge's own view -----------------------------------------------------------------------------------------

OBSTACLES = {GONE: reasons.ACCOUNT_NOT_FOUND, CHANGED: reasons.ACCOUNT_CHANGED, FORBIDDEN: reasons.ACCOUNT_NOT_ALLOWED,
             KEYLESS: reasons.ACCOUNT_NOT_READY}


def obstacle(state: int, obj: Object, bound: BoundAccount | None, *, session: bool) -> str | None:
    """The reason that Ready must give for a resource that can do nothing while `main` stays so; None if it can.

    `session`: a replica still has the API key. It serves to remove what the resource has, once that is deleted.
    """
    if (bound is None and state in (GONE, DELETED)) or (bound is not None and bound.name == OTHER):
        return None
    if state == DELETED and not obj.deleting:
        return reasons.ACCOUNT_DELETING
    known = state != GONE or (obj.deleting and session)
    if bound is not None and known and (bound.account_id == SECOND) != (state == CHANGED):
        return reasons.ACCOUNT_CHANGED
    if state in (PRESENT, CHANGED, DELETED) or (obj.deleting and (session or state == FORBIDDEN)):
        return None
    return OBSTACLES[state]


def is_of_main(bound: BoundAccount | None) -> bool:
    """Whether a resource with this account on record is in the remote account that `main` is when it is deleted."""
    return bound is not None and (bound.name, bound.account_id) == (MAIN, FIRST)


def addressed(observed: Any) -> str | None:
    """I25: calls to the remote API go to the account that the resource is bound to."""
    used, bound = observed.account, observed.status.account
    if isinstance(used, AccountProblem):
        return "I25: a call to the remote API without an account"
    if bound in (None, account_binding.bound_account(used, None)):
        return None
    return f"I25: a call to {used.name} in {used.account_id} of what is bound to {bound.name} in {bound.account_id}"


def moved(before: BoundAccount | None, after: BoundAccount | None) -> str | None:
    """I25: the account on record stays as it is."""
    if before in (None, after):
        return None
    return f"I25: bound to {before.name} in {before.account_id}, then to {after and after.name}"
