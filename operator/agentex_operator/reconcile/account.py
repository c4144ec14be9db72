"""The accounts' shell, for both kinds: read the key, keep the session, probe, say whether it can be used."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from agentex_operator.agentex.keys import ApiKey
from agentex_operator.api.account import AccountResource, AgentexAccount, ClusterAgentexAccount
from agentex_operator.core import (
    account,
    account_binding,
    account_hold,
    account_remedies,
    calls,
    guard,
    reasons,
    secret_use,
)
from agentex_operator.core.errors import Conflict, ExternalError, NotReady, Unauthorized
from agentex_operator.core.invalid import InvalidObject
from agentex_operator.core.plan import AccountProblem
from agentex_operator.kube.kinds import AGENTEX_ACCOUNT, CLUSTER_AGENTEX_ACCOUNT, Kind
from agentex_operator.network.trust import CA_KEY, certificates
from agentex_operator.reconcile import account_holders, failed_passes, parsing, shell
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from agentex_operator.agentex.session import AccountSession
    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.account import AccountCall
    from agentex_operator.core.calls import Answer
    from agentex_operator.core.endpoints import EndpointRules
    from agentex_operator.core.internal_error import InternalFailure
    from agentex_operator.reconcile.accounts import AccountEntry
    from agentex_operator.reconcile.runtime import Runtime
    from agentex_operator.reconcile.views import View

OpenSession = Callable[["AccountEntry", str], "AccountSession"]
KINDS = {AGENTEX_ACCOUNT.kind: (AGENTEX_ACCOUNT, AgentexAccount),
         CLUSTER_AGENTEX_ACCOUNT.kind: (CLUSTER_AGENTEX_ACCOUNT, ClusterAgentexAccount)}


class AccountReconciler:
    """One pass over an AgentexAccount or a ClusterAgentexAccount."""

    def __init__(self, runtime: Runtime, open_session: OpenSession, *, namespace: str,
                 endpoints: EndpointRules) -> None:
        self._runtime, self._open = runtime, open_session
        self._namespace, self._endpoints = namespace, endpoints

    async def reconcile(self, view: View) -> Outcome:
        """Observe, decide, act, settle, save; then tell the resources whether the account can be used."""
        kind, model = KINDS[view.kind]
        resource = parsing.parsed(model.parse, view.obj)
        if isinstance(resource, InvalidObject):
            self._runtime.accounts.set_unreadable(view, resource.message)
            return await self._pass_over_invalid(kind, view, resource)
        entry = self._runtime.accounts.entry(view, resource.spec, view.namespace or self._namespace)
        return await self._pass(kind, view, entry, resource)

    async def _pass_over_invalid(self, kind: Kind, view: View, found: InvalidObject) -> Outcome:
        """Report what is invalid; once the account is deleted and nothing holds it, let it go."""
        held_by, meta = account_holders.holders(self._runtime.engine, view), parsing.metadata_of(view)
        if account_hold.may_go(meta, held_by, in_use=self._is_in_use(view)):
            listed = await shell.attempt(self._list_holders(view), calls.ListAccountHolders(), self._runtime.clock)
            if isinstance(listed, ExternalError):
                return Outcome(failed=True)
            held_by = calls.ListAccountHolders().read(listed)
        if account_hold.may_go(meta, held_by, in_use=self._is_in_use(view)):
            write = self._runtime.writer(kind, view).write
            outcome = await shell.attempt(write, calls.RemoveFinalizer(), self._runtime.clock)
            return Outcome(failed=isinstance(outcome, ExternalError))
        if meta.deleting and held_by:
            found = replace(found, message=f"{found.message} {account_hold.described(held_by)}")
        return await parsing.report_invalid(self._runtime, kind, view, found)

    def _list_holders(self, view: View) -> shell.Perform[calls.ListAccountHolders]:
        async def perform(call: calls.ListAccountHolders) -> Answer:
            return call.answer(await account_holders.live_holders(self._runtime.holders, view))

        return perform

    def _is_in_use(self, view: View) -> bool:
        entry = self._runtime.accounts.find(view)
        return entry is not None and bool(entry.passes)

    async def _pass(self, kind: Kind, view: View, entry: AccountEntry, resource: AccountResource) -> Outcome:
        one = AccountPass(self._runtime, kind, view, entry, self._open)
        observed = self._observe(view, resource, entry)
        observed, planned = await shell.run_pass(account, observed, one.perform, self._runtime.clock)
        entry.proved_at = observed.proved_at
        if not observed.object_gone:  # what was not written is not so yet: the pass comes again
            entry.counted = observed.counts
            problem = account_binding.problem_of(observed.stored.conditions, has_session=entry.session is not None)
            self._runtime.accounts.set_availability(entry, problem)
        return shell.outcome_of(planned)

    def _observe(self, view: View, resource: AccountResource, entry: AccountEntry) -> account.Observed:
        return account.Observed(
            meta=resource.meta, spec=resource.spec, stored=resource.status, status=resource.status,
            policy=self._runtime.policy, started_at=self._runtime.clock.now(),
            counts=entry.counts(), counted=entry.counted,
            endpoints=self._endpoints.of_administrators if entry.is_of_administrator else self._endpoints,
            proved_at=None if is_barred(entry) else entry.proved_at,
            held_by=account_holders.holders(self._runtime.engine, view) if entry.deleting else (),
            has_session=entry.session is not None, in_use=bool(entry.passes),
        )

    async def report(self, view: View, failure: InternalFailure) -> None:
        """Report a pass that raised in the account's status, and to the resources that cannot use the account yet."""
        await failed_passes.report(self._runtime, KINDS[view.kind][0], view, failure)
        entry = self._runtime.accounts.find(view)
        if entry is not None and entry.session is None:
            message = failure.message(deleting=False)
            self._runtime.accounts.set_availability(entry, AccountProblem(reasons.INTERNAL_ERROR, message))

    def gone(self, view: View) -> None:
        """The account object is no more."""
        self._runtime.accounts.leave(view)


def is_barred(entry: AccountEntry) -> bool:
    """Whether the remote answered 401 or 403 lately."""
    return entry.session is not None and entry.session.gate.next_probe_in is not None


class AccountPass:
    """The calls of one pass."""

    def __init__(self, runtime: Runtime, kind: Kind, view: View, entry: AccountEntry,
                 open_session: OpenSession) -> None:
        self._runtime, self._entry, self._open = runtime, entry, open_session
        self._kind, self._view = kind, view
        self._writer = runtime.writer(kind, view)

    async def perform(self, call: AccountCall) -> Answer:
        """Make one call. Raises what the adapter raises."""
        match call:
            case calls.ListAccountHolders():
                return call.answer(await account_holders.live_holders(self._runtime.holders, self._view))
            case calls.ReadKey():
                return call.answer(await self._use(await self._read_secret(call.ref), call.ref))
            case calls.ProbeAccount():
                await self._probe()
                return call.answer(None)
            case calls.SaveStatus() | calls.AddFinalizer() | calls.RemoveFinalizer():
                return await self._writer.write(call)
            case _:
                assert_never(call)

    async def _read_secret(self, ref: KeyRef) -> dict[str, Any]:
        namespace = self._entry.secret_namespace
        secret = await self._runtime.objects.secret(namespace, ref.name)
        if secret is None:
            terminating = await self._runtime.accounts.is_terminating(namespace)
            raise account_remedies.no_secret(ref.name, namespace, terminating)
        return secret

    async def _use(self, secret: dict[str, Any], ref: KeyRef) -> bool:
        """Use the key and the `ca.crt` of the Secret from now on; True if one of them is another than before."""
        key, ca = key_in(secret, ref, self._holder(ref)), ca_in(secret, self._holder(ref))
        self._runtime.keep_secret(key.strip())
        if self._entry.closed:
            raise Conflict(f"{self._kind.kind} {self._view.name!r} has gone.")
        if self._entry.session is None:
            self._entry.session = self._open(self._entry, key)
            self._entry.session.trust(ca)
            await self._entry.session.start()
            return True
        self._entry.session.gate.set_rate(self._entry.rate)
        trusts_others, has_another_key = self._entry.session.trust(ca), self._entry.session.rekey(ApiKey(key))
        return trusts_others or has_another_key

    def _holder(self, ref: KeyRef) -> str:
        """The Secret in words; the one of a ClusterAgentexAccount is in the operator's namespace."""
        return f"Secret {ref.name!r} in namespace {self._entry.secret_namespace!r}"

    async def _probe(self) -> None:
        """Only for an object that is still there: kopf does not tell of one that went while its watch was broken."""
        kind, namespace, name = self._kind, self._view.namespace, self._view.name
        found = await self._runtime.cluster.get(kind, namespace, name)
        if found is None or found["metadata"]["uid"] != self._view.uid:
            self._runtime.engine.forget(self._view.uid)
            raise Conflict(f"{kind.kind} {name!r} has gone.")
        assert self._entry.session is not None, "probed before the key was read"  # noqa: S101 - the rules' order
        try:
            await self._entry.session.client.probe()
        except Unauthorized as error:
            ref = self._entry.spec.api_key_secret_ref
            error.add_sentence(f"It is under key {ref.key!r} of {self._holder(ref)}.")
            raise


def key_in(secret: dict[str, Any], ref: KeyRef, holder: str) -> str:
    """The API key in a Secret. Raises NotReady; its message has `holder`, the Secret in words, and no value."""
    secret_use.require_bearer(secret)
    values = secret.get("data") or {}
    if ref.key not in values:
        there = ", ".join(sorted(values)) or "none"
        raise NotReady(reasons.KEY_NOT_FOUND, f"{holder} has no key {ref.key!r} (it has: {there}). Add it, "
                                              "or correct spec.apiKeySecretRef.")
    not_a_key = f"Key {ref.key!r} of {holder} is empty or is no ASCII text. Write the API key into it."
    with guard.raising(lambda _error: NotReady(reasons.SECRET_INVALID, not_a_key)):
        found = base64.b64decode(values[ref.key], validate=True).decode("utf-8-sig")
    if not ApiKey.is_usable(found):
        raise NotReady(reasons.SECRET_INVALID, not_a_key)
    return found


def ca_in(secret: dict[str, Any], holder: str) -> str:
    """The certificates under `ca.crt` of a Secret (PEM); "" without that key. Raises NotReady(SecretInvalid)."""
    values = secret.get("data") or {}
    if CA_KEY not in values:
        return ""
    not_base64 = f"Key {CA_KEY!r} of {holder} is not base64. Create it anew."
    with guard.raising(lambda _error: NotReady(reasons.SECRET_INVALID, not_base64)):
        content = base64.b64decode(values[CA_KEY], validate=True)
    return certificates(content, holder)
