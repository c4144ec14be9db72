"""The problems of accounts in words, and the steps that make an account usable for a deletion.

Nothing can be created in a namespace that is being deleted; objects that still exist there can be changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.account import AGENTEX_ACCOUNT
from agentex_operator.core import installed_crds, reasons
from agentex_operator.core.errors import Conflict, NotReady, Rejected, Unauthorized
from agentex_operator.core.plan import AccountProblem, Remedy

if TYPE_CHECKING:
    from agentex_operator.api.references import KeyRef
    from agentex_operator.api.status import BoundAccount
    from agentex_operator.core.errors import ExternalError
    from agentex_operator.core.plan import UsableAccount

AccountKey = tuple[str, str | None, str]  # kind, namespace (None for the cluster kind), name
KEY_REASONS = (reasons.SECRET_NOT_FOUND, reasons.KEY_NOT_FOUND, reasons.SECRET_INVALID)
SECRET_REASONS = (*KEY_REASONS, reasons.ACCESS_DENIED)  # whose messages name the Secret
UNKNOWN = Remedy("make the account usable")


# --- problems -----------------------------------------------------------------------------------------------------


def being_deleted(key: AccountKey, bound: BoundAccount | None) -> AccountProblem:
    """The problem of a resource that is not deleted while its account is; the account waits for a bound resource."""
    kind, _, name = key
    why = f"{kind} {name!r} is being deleted, and creates nothing any more."
    if bound is None:
        return AccountProblem(reasons.ACCOUNT_DELETING, f"{why} Create the account again when it is gone, or create "
                              "this resource anew with another spec.accountRef.")
    return AccountProblem(reasons.ACCOUNT_DELETING, f"{why} The account waits until this resource is gone. Delete this "
                          "resource; with spec.deletionPolicy Orphan its remote object stays.")


def why_unusable(key: AccountKey, ref: KeyRef, problem: AccountProblem, *, deleting: bool) -> str:
    """What a resource is told of an account that cannot be used; of a ClusterAgentexAccount's Secret nothing."""
    if deleting:
        return without_step(key, ref, problem.reason)
    if key[0] == AGENTEX_ACCOUNT.kind or problem.reason not in SECRET_REASONS:
        return problem.message
    return f"{problem.reason}. Ask an administrator to take the step that the status of {key[0]} {key[2]!r} names."


def naming_the_account(error: ExternalError, account: UsableAccount) -> ExternalError:
    """A copy of an error of a call to the remote API, whose message names the account; the key, where it is refused."""
    if isinstance(error, Unauthorized):
        return error.with_sentence(_the_key_of(account))
    if isinstance(error, Rejected | Conflict):  # a definite no about the input of the resource
        return error
    return error.with_sentence(f"The call was made with {account.kind} {account.name!r}, account {account.account_id} "
                               f"at {account.endpoint}.")


def _the_key_of(account: UsableAccount) -> str:
    holder = f"The key is that of {account.kind} {account.name!r}"
    if account.key_ref is None:
        return f"{holder}: ask an administrator to correct it."
    return f"{holder}: correct key {account.key_ref.key!r} of Secret {account.key_ref.name!r}."


def kind_missing(key: AccountKey, bound: BoundAccount | None, step: str) -> AccountProblem:
    """The problem of a resource whose account's kind is not served; `step`: see `to_install`."""
    return AccountProblem(reasons.CRD_MISSING, f"{installed_crds.not_served(key[0])}{step}", remedy=replace(
        for_missing(key, bound), step="install the CRDs (kubectl apply --server-side -f crds/, or upgrade the Helm "
                                      f"release) and {for_missing(key, bound).step}"))


def to_install(key: AccountKey, bound: BoundAccount | None, *, named: bool) -> str:
    """The step that makes an account of a missing kind appear; `named`: the resource uses this account only."""
    return f"{installed_crds.INSTALL} Then {for_missing(key, bound).step}." if named else installed_crds.INSTALL


def how_to_get(bound: BoundAccount | None) -> str:
    """What makes an account appear that is missing. `spec.accountRef` is immutable."""
    if bound is not None:
        return (f"What this resource created is in account {bound.account_id} at {bound.endpoint}: create it anew for "
                "that account.")
    return "Create it, or create this resource anew with another spec.accountRef."


def unreadable(key: AccountKey, message: str) -> AccountProblem:
    """The problem of resources whose account object is no valid account."""
    return AccountProblem(reasons.ACCOUNT_NOT_READY, f"{key[0]} {key[2]!r} is not ready: {message}",
                          remedy=Remedy(f"correct {key[0]} {key[2]!r}"))


def labels_unreadable(error: Unauthorized) -> AccountProblem:
    """The problem of a resource whose namespace's labels the operator may not read."""
    return AccountProblem(reasons.ACCOUNT_NOT_READY, "The account's namespaceSelector asks for the labels of this "
                          f"namespace. Grant the operator `get` of namespaces. {error.message}", stalled=True)


# --- remedies -----------------------------------------------------------------------------------------------------


def for_missing(key: AccountKey, bound: BoundAccount | None) -> Remedy:
    """The remedy where the account object is no more."""
    kind, _, name = key
    return Remedy(f"create {kind} {name!r} again{_as(bound)}", creates=kind == AGENTEX_ACCOUNT.kind)


def for_changed(key: AccountKey, bound: BoundAccount) -> Remedy:
    """The remedy where another account has the name: endpoint and accountID of an account cannot be changed."""
    kind, _, name = key
    return Remedy(f"delete {kind} {name!r} and create it again{_as(bound)}", creates=kind == AGENTEX_ACCOUNT.kind)


def for_unusable(key: AccountKey, ref: KeyRef, reason: str) -> Remedy:
    """The remedy where the account cannot be used for that reason; `ref`: its API key."""
    kind, _, name = key
    if kind != AGENTEX_ACCOUNT.kind:
        return Remedy(f"ask an administrator to take the step that the status of {kind} {name!r} names")
    match reason:
        case reasons.SECRET_NOT_FOUND:
            return Remedy(f"create Secret {ref.name!r} {_place(key)} with the API key under {ref.key!r}",
                          creates=kind == AGENTEX_ACCOUNT.kind)
        case reasons.KEY_NOT_FOUND | reasons.SECRET_INVALID | reasons.ACCESS_DENIED:
            return Remedy(f"write a valid API key under {ref.key!r} into Secret {ref.name!r} {_place(key)}")
        case _:
            return Remedy(f"take the step that the status of {kind} {name!r} names")


def without_step(key: AccountKey, ref: KeyRef, reason: str) -> str:
    """What is wrong with the account, without a step: `Remedy` has the step."""
    match reason if key[0] == AGENTEX_ACCOUNT.kind else "":
        case reasons.SECRET_NOT_FOUND:
            return f"SecretNotFound: there is no Secret {ref.name!r} {_place(key)}."
        case reasons.KEY_NOT_FOUND:
            return f"KeyNotFound: Secret {ref.name!r} {_place(key)} has no key {ref.key!r}."
        case _:
            return f"{reason}."


def _as(bound: BoundAccount | None) -> str:
    return "" if bound is None else f" with endpoint {bound.endpoint} and accountID {bound.account_id}"


def _place(key: AccountKey) -> str:
    return f"in namespace {key[1]!r}" if key[1] else "in the operator's namespace"


# --- as messages name them ----------------------------------------------------------------------------------------


def in_namespace(problem: AccountProblem, *, terminating: bool | None) -> AccountProblem:
    """The problem, with whether the namespace of its resource is being deleted."""
    return replace(problem, remedy=replace(problem.remedy or UNKNOWN, terminating=terminating))


def sentence(remedy: Remedy | None) -> str:
    """The remedy as a sentence; where its step cannot be taken, the reason."""
    remedy = remedy or UNKNOWN
    step = f"To remove it, {remedy.step}."
    return _creating(step, remedy.terminating) if remedy.creates else step


def no_secret(name: str, namespace: str, terminating: bool | None) -> NotReady:
    """The error of an account without its Secret; `terminating`: see `Remedy`."""
    step = _creating("Create it, or correct spec.apiKeySecretRef.", terminating)
    return NotReady(reasons.SECRET_NOT_FOUND, f"There is no Secret {name!r} in namespace {namespace!r}. {step}")


def _creating(step: str, terminating: bool | None) -> str:
    if terminating:
        return "The namespace is being deleted, so nothing can be created in it."
    return step if terminating is False else f"{step} (Not possible if the namespace is being deleted.)"
