"""The account in the model: it goes, becomes another, is forbidden, loses its key, and comes back.

There are two ClusterAgentexAccounts, both defaults: `main`, which all this happens to, and `other`, which is always
usable. The resource names none: until it is bound, the default rule gives it `main` where that exists, else `other`.
The production code (core/account_binding) decides which account a pass uses, on what the replica knows; what must come
of it (`obstacle`) is said here once more, without that code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model.values import ORIGIN

from agentex_operator.api.account import ClusterAccountSpec
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import BoundAccount, Condition
from agentex_operator.core import account_binding, conditions, reasons
from agentex_operator.core.account_binding import AccountRequest, AccountSnapshot, KnownAccounts
from agentex_operator.core.plan import AccountProblem, UsableAccount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.model.kinds import Object

PRESENT, GONE, CHANGED, FORBIDDEN, KEYLESS, UNSEEN = range(6)
TROUBLES = {
    GONE: "is deleted",
    CHANGED: "is deleted, and created with another accountID",
    FORBIDDEN: "no longer selects the namespace",
    KEYLESS: "loses its Secret",
}
MAIN, OTHER = "main", "other"
FIRST, SECOND = REMOTES = ("acct-1", "acct-2")  # the remote accounts; `main` is in the second while it is CHANGED

KEYS = {name: account_binding.account_key("ClusterAgentexAccount", None, name) for name in (MAIN, OTHER)}
_make = adapter(ClusterAccountSpec).validate_python
_usual = {"endpoint": "https://api.example", "apiKeySecretRef": {"name": "agentex", "key": "key"}, "default": True}
SPECS = dict.fromkeys(range(6), _make(_usual | {"accountID": FIRST})) | {
    CHANGED: _make(_usual | {"accountID": SECOND}),
    FORBIDDEN: _make(_usual | {"accountID": FIRST, "namespaceSelector": {"matchLabels": {"team": "another"}}}),
}
ALWAYS_THERE = AccountSnapshot(KEYS[OTHER], SPECS[CHANGED], None, has_session=True)


class Entry(NamedTuple):
    """What a replica knows of `main`: its state when the replica last reconciled it, and whether there is a session."""

    state: int
    session: bool = False   # this process has read the key
    used: bool = False      # a pass of the present resource has used the session


KNOWN = Entry(PRESENT, session=True)  # for searches in which nothing happens to the account


def after_start(state: int) -> Entry:
    """The entry of a process that has just started: the object may be in its cache, and was not reconciled."""
    return Entry(GONE if state == GONE else UNSEEN)


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
    return entry.state != state and (state == CHANGED or entry.state in (CHANGED, GONE))


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

    def of(self, entry: Entry, deleting: bool, bound: BoundAccount | None) -> UsableAccount | AccountProblem:
        """What a pass over a resource is given that is bound to that account, or to none."""
        key = entry.state, entry.session, deleting, bound
        if key not in self._found:
            request = AccountRequest("team", deleting, None, bound)
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
    return AccountSnapshot(KEYS[MAIN], SPECS[entry.state], problem, entry.session, gone=entry.state == GONE)


def _conditions(state: int) -> Iterable[Condition]:
    """The conditions of `main` in that state."""
    keyless = state == KEYLESS
    reason = reasons.SECRET_NOT_FOUND if keyless else reasons.SUCCEEDED
    return (Condition(type=conditions.READY, status="False" if keyless else "True", reason=reason, message="-",
                      observed_generation=1, last_transition_time=ORIGIN),)


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
    if (bound is None and state == GONE) or (bound is not None and bound.name == OTHER):
        return None
    known = state != GONE or (obj.deleting and session)
    if bound is not None and known and (bound.account_id == SECOND) != (state == CHANGED):
        return reasons.ACCOUNT_CHANGED
    if state in (PRESENT, CHANGED) or (obj.deleting and (session or state == FORBIDDEN)):
        return None
    return OBSTACLES[state]


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
