"""Twenty-nine ways to get the protocol wrong: changes to the production rules, each of which the search must notice.

Numbered as in reliability.md §2a. Its M8 and M9 are about a sweeper, which there is none of: in their place stand two
other rules without which things go wrong; M15 to M19 are about the account, M20 and M21 about adoption, M22 to
M24 about the ConfigMap that a resource names, M25 about the account that it names, M26 to M28 about forgetting a create
that was never answered. Each mutant is a patch of the operator's modules in this process, or a law of the outside that
the shell would break (M6, M12, M24).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.model.kinds import CLUSTER
from tests.model.search import Counterexample
from tests.model.states import Laws
from tests.model.values import FAR

from agentex_operator.api.operator_memory import Removal
from agentex_operator.core import account_binding, account_hold, build, calls, deployment, holders, memory
from agentex_operator.core.build.observed import Observed as BuildObserved
from agentex_operator.core.deployment.observed import Observed as DeploymentObserved
from agentex_operator.core.errors import Unavailable
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.ownership import deployment_token, owner_of
from agentex_operator.core.plan import Plan
from agentex_operator.core.protocol import adoption, create, removal, settle, teardown
from agentex_operator.core.protocol.observed import Observed as AnyKindsObserved
from agentex_operator.core.remote import RemoteState
from agentex_operator.reconcile.reference_versions import ReferenceVersions

Patch = tuple[Any, str, Any]
KINDS = (build, deployment)


@dataclass(frozen=True)
class Mutant:
    """A wrong protocol: what is changed, the searches that must notice, and by which invariants."""

    name: str
    says: str
    searches: tuple[str, ...]
    noticed_by: tuple[str, ...]
    patches: Callable[[], list[Patch]] = list
    laws: Laws = field(default_factory=Laws)

    def is_noticed(self, found: Counterexample | None) -> bool:
        """Whether that is how it must be noticed; that the rules raise would prove nothing."""
        return found is not None and found.invariant in self.noticed_by

    @contextmanager
    def applied(self) -> Iterator[Laws]:
        """The production rules, changed in this process."""
        patches = self.patches()
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
        for owner, name, value in before:
            require_one_place(owner, name, value)
        for owner, name, value in patches:
            setattr(owner, name, value)
        try:
            yield self.laws
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)


# --- how rules are changed ------------------------------------------------------------------------------------------


class PatchMissedError(Exception):
    """A patch would change nothing: the core reads what is patched under another name, or not at all."""


def require_one_place(owner: Any, name: str, value: Any) -> None:
    """Raise PatchMissedError if the core has a second reference to a function or table that is patched here."""
    modules = [module for path, module in sys.modules.items() if path.startswith("agentex_operator.core")]
    others = [f"{module.__name__}.{attribute}" for module in modules for attribute, found in vars(module).items()
              if _refers(found, value) and (module, attribute) != (owner, name)]
    if others and not isinstance(value, property):
        raise PatchMissedError(f"{name} is patched in {owner!r}, but also read as {', '.join(others)}")


def _refers(found: Any, value: Any) -> bool:
    return found is value or (isinstance(found, tuple) and not isinstance(value, tuple) and value in found)


def without(*names: str) -> list[Patch]:
    """Both kinds, and the teardown, without the rules of these names."""
    lists = [(core, "RULES") for core in KINDS] + [(teardown, "TEARDOWN")]
    known = {rule.__name__ for owner, name in lists for rule in getattr(owner, name)}
    if missing := set(names) - known:
        raise PatchMissedError(f"there is no rule {', '.join(sorted(missing))}")
    return [(owner, name, tuple(rule for rule in getattr(owner, name) if rule.__name__ not in names))
            for owner, name in lists]


def instead(name: str, rules: dict[Any, Any]) -> list[Patch]:
    """Both kinds with another rule in the place of this one."""
    if missing := [core.__name__ for core in KINDS if name not in {rule.__name__ for rule in core.RULES}]:
        raise PatchMissedError(f"there is no rule {name} in {', '.join(missing)}")
    return [(core, "RULES", tuple(rules[core] if rule.__name__ == name else rule for rule in core.RULES))
            for core in KINDS]


def both(patches: list[Patch], more: list[Patch]) -> list[Patch]:
    """Two sets of patches; the later rules leave out what the earlier left out."""
    gone = {id(owner): value for owner, name, value in patches if name == "RULES"}
    merged = [(owner, name, tuple(rule for rule in value if rule in gone[id(owner)] or rule not in owner.RULES)
               if name == "RULES" and id(owner) in gone else value) for owner, name, value in more]
    kept = [patch for patch in patches if (id(patch[0]), patch[1]) not in {(id(o), n) for o, n, _ in more}]
    return kept + merged


# --- the mutants ----------------------------------------------------------------------------------------------------


def create_unwritten(core: Any) -> Any:
    """A create rule that makes the intent up in memory."""
    def create(observed: Any, now: Any) -> Plan[Any]:
        written = core.attempt.intended(observed, core.attempt.next_attempt(observed), now)
        made: Plan[Any] = core.attempt.create(dataclasses.replace(observed, status=written), now)
        return made

    return create


def no_intent() -> list[Patch]:
    return both(without("write_the_intent"), instead("create", {core: create_unwritten(core) for core in KINDS}))


def never_wanted() -> list[Patch]:
    return [(one, "wanted", lambda _self, _record: False) for one in (BuildObserved, DeploymentObserved)]


def every_error_is_a_no() -> list[Patch]:
    real = settle.settle_refusal

    def settle_refusal(observed: Any, error: Any, now: Any) -> Any:
        after = real(observed, error, now)
        closed = memory.into_status(after.status, memory.refused(memory.from_status(after.status)))
        return dataclasses.replace(after, status=closed) if isinstance(error, Unavailable) else after

    return [(settle, "settle_refusal", settle_refusal)]


def ambiguous_is_the_end() -> list[Patch]:
    return [(memory, "recreate_at", lambda remembered, _policy: FAR if remembered.pending else None)]


def trust_the_recorded_id() -> list[Patch]:
    def build_ended(observed: Any) -> bool:
        return observed.status.remote_id is None or observed.ended

    def deployment_gone(observed: Any) -> bool:
        return observed.status.remote_id is None

    return [(BuildObserved, "nothing_left", property(build_ended)),
            (DeploymentObserved, "nothing_left", property(deployment_gone))]


def tokens_by_name() -> list[Patch]:
    def token_text(observed: Any, attempt: int) -> str:
        return deployment_token(CLUSTER, observed.meta.name, observed.digest or "", attempt)

    return [(BuildObserved, "owner", property(lambda one: owner_of(CLUSTER, one.meta.name))),
            (DeploymentObserved, "owner", property(lambda one: f"{CLUSTER}/{one.meta.name}")),
            (deployment.attempt, "token_text", token_text)]


def stale_answers_win() -> list[Patch]:
    real = build.records.mirror

    def mirror(status: Any, record: Any, now: Any) -> Any:
        return dataclasses.replace(real(status, record, now), remote_status=record.raw_status)

    return [(build.records, "mirror", mirror)]


def remove_unwritten() -> list[Patch]:
    real = settle.settle

    def remove(observed: Any, record: Any, why: Any, now: Any) -> Any:
        asked = removal.recently_requested(observed, record.id, now)
        leaving = record.state is RemoteState.LEAVING
        return None if asked or leaving else Plan(calls.Remove(record.id, why))

    def settle_and_note(observed: Any, call: Any, outcome: Any, now: Any) -> Any:
        after = real(observed, call, outcome, now)
        if not isinstance(call, calls.Remove):
            return after
        noted = Removal(id=call.id, reason="Duplicate", requested_at=now)
        kept = dataclasses.replace(after.status.operator, removal=noted)
        return dataclasses.replace(after, status=dataclasses.replace(after.status, operator=kept))

    return [(removal, "remove", remove), (settle, "settle", settle_and_note)]


def write_once(core: Any) -> Any:
    """A rule that writes the intent of an attempt only the first time."""
    real = core.attempt.write_the_intent

    def write_the_intent(observed: Any, now: Any) -> Any:
        pending = observed.status.operator.pending_create
        written = pending is not None and pending.attempt == core.attempt.next_attempt(observed)
        return None if written else real(observed, now)

    return write_the_intent


def fence_once() -> list[Patch]:
    return instead("write_the_intent", {core: write_once(core) for core in KINDS})


def unlisted_is_gone() -> list[Patch]:
    def absent(seen: Any, id_: str) -> bool:
        return seen.listing is not None and seen.find(id_) is None

    return [*without("confirm_missing", "wait_for_the_missing"),
            (ObservedRecords, "absent", absent),
            (create, "is_lost", lambda observed, _now: observed.status.operator.missing_since is not None)]


def forgotten_at_once() -> list[Patch]:
    def without_unanswered(observed: Any) -> Any:
        remembered = memory.from_status(observed.status)
        if remembered.pending is not None:
            return observed
        closed = memory.into_status(observed.status, memory.nothing_came(remembered))
        return dataclasses.replace(observed, status=closed)

    return [(settle, "without_unanswered", without_unanswered)]


def strays_ignored() -> list[Patch]:
    return [(one, "strays", property(lambda _observed: [])) for one in (AnyKindsObserved, DeploymentObserved)]


def bound_to_nothing() -> list[Patch]:
    real = account_binding.select

    def select(request: Any, accounts: Any) -> Any:
        return real(dataclasses.replace(request, bound=None), accounts)

    return [(account_binding, "select", select)]


def bound_to_the_name() -> list[Patch]:
    real = account_binding.select

    def select(request: Any, accounts: Any) -> Any:
        return real(dataclasses.replace(request, bound=None) if request.ref else request, accounts)

    return [(account_binding, "select", select)]


def pass_in_flight_ignored() -> list[Patch]:
    real = account_hold.may_go
    return [(account_hold, "may_go", lambda meta, held_by, **_in_use: real(meta, held_by, in_use=False))]


def list_not_compared() -> list[Patch]:
    def take_list(versions: Any, asked: Any, found: Any, named: Any) -> list[Any]:
        versions._known.update((name, found.get(name)) for name in asked & named)
        return []

    return [(ReferenceVersions, "take_list", take_list)]


def look_away(invariant: str, **laws: bool) -> Laws:
    """Laws under which one invariant is not judged, so that what comes of breaking it is seen."""
    return Laws(unjudged=invariant, **laws)


MUTANTS = (
    Mutant("M0", "POST, then write down the id: no intent, nothing is looked for by token",
           ("build:1:K4:crash=1", "production:1:K4:crash=1"), ("I1", "I3"),
           lambda: no_intent() + never_wanted(), look_away("I5")),
    Mutant("M1", "every error of a create is a definite no",
           ("build:1:K4:lost=1", "production:1:K4:lost=1"), ("I1", "I3"), every_error_is_a_no),
    Mutant("M2", "an ambiguous create is never repeated", ("build:1:K4:error=1", "preview:1:K4:error=1"), ("I20",),
           ambiguous_is_the_end),
    Mutant("M3", "adopt, but never remove a duplicate", ("build:1:K4:late=1", "preview:1:K4:late=1"),
           ("I20",), lambda: without("remove_duplicates", "remove_extra_previews")),
    Mutant("M4", "let go without waiting for T_max",
           ("build:1:K4:late=1,delete=1", "production:1:K4:late=1,delete=1"), ("I8",),
           lambda: [(memory, "nothing_can_come_at", lambda _memory, _policy: None)]),
    Mutant("M5", "the finalizer trusts the recorded id",
           ("build:1:K4:crash=1,lost=1,delete=1", "production:1:K4:lost=1,delete=1"), ("I8",), trust_the_recorded_id),
    Mutant("M6", "writes to the API server without resourceVersion",
           ("build:2:K3:delete=1", "production:2:K3:late=1"), ("I6", "I8"),
           laws=look_away("P3", conditional_writes=False)),
    Mutant("M7", "tokens made of the name, not of the uid",
           ("build:1:K4:delete=1,recreate=1",), ("I20",), tokens_by_name),
    Mutant("M8", "no finalizer before the create (for: the sweeper reads resources before remotes)",
           ("build:1:K4:delete=1", "preview:1:K4:delete=1"), ("I8",),
           lambda: without("add_finalizer"), look_away("I5")),
    Mutant("M9", "a stale answer overwrites how a build ended (for: the sweeper trusts the watch cache)",
           ("build:2:K4:stale=1",), ("I10",), stale_answers_win),
    Mutant("M10", "remove a duplicate without condemning it first by a conditional write",
           ("build:2:K1:late=1", "preview:2:K2:late=1"), ("I3",), remove_unwritten),
    Mutant("M11", "no intent is written before the POST",
           ("build:1:K4:delete=1,lost=1", "production:1:K4:delete=1,late=1"), ("I8",), no_intent, look_away("I5")),
    Mutant("M12", "the client repeats a POST whose answer is lost",
           ("build:1:K4:lost=1", "production:1:K4:lost=1"), ("I1",), laws=Laws(client_retries=True)),
    Mutant("M13", "the intent is written once, not before every POST",
           ("build:2:K4:error=1", "preview:2:K4:error=1"), ("I1",), fence_once, look_away("I5")),
    Mutant("M14", "what a listing does not show is gone", ("build:1:K4:lag=1",), ("I6",), unlisted_is_gone),
    Mutant("M15", "the binding ignores status.account and takes the default account",
           ("build:1:K4:account=1", "preview:1:K4:account=1"), ("I25",), bound_to_nothing),
    Mutant("M16", "that the account has become another one is not checked",
           ("build:1:K4:account=1", "production:1:K4:account=1"), ("I25",),
           lambda: [(account_binding, "_changed", lambda _found, _bound: None)]),
    Mutant("M17", "whether the account selects the namespace is not checked",
           ("build:1:K4:account=1", "production:1:K4:account=1"), ("I20",),
           lambda: [(account_binding, "_forbidden", lambda _request, _found, _labels: None)]),
    Mutant("M18", "a deleted account is not held by the resources that are bound to it",
           ("build:1:K4:account=1", "preview:1:K4:delete=1,account=1"), ("I26",),
           lambda: [(account_hold, "holders", lambda _key, _remote, _resources: ())]),
    Mutant("M19", "a deleted account does not wait for the pass in flight that has it",
           ("build:1:K4:account=1", "production:1:K4:account=1"), ("I26",), pass_in_flight_ignored),
    Mutant("M20", "a create is sent while an adoption is asked for and not decided",
           ("adopting:1:K4:", "restored:1:K4:"), ("I1", "I6"), lambda: without("take_over")),
    Mutant("M21", "an object is adopted without looking at its holders", ("held:1:K4:delete=1",), ("I4", "I20"),
           lambda: [(holders, "in_the_way", lambda _found, _rank: None),
                    (adoption, "wait_for_younger_claims", lambda _observed: None)]),
    Mutant("M22", "what a list shows after a gap is known at once, and not compared with what passes have read",
           ("watched:1:K4:source=1,gap=1", "configured:1:K4:source=1,gap=1"), ("I20",), list_not_compared),
    Mutant("M23", "without the right to watch, the ConfigMap is not polled",
           ("watched:1:K4:source=1,deny=1",), ("I20",),
           lambda: [(build.source, "next_look", lambda observed: observed.policy.resync)]),
    Mutant("M24", "a pass acts on a read that is older than the change that woke it, and does not look again",
           ("watched:1:K4:source=1", "configured:1:K4:source=1"), ("I20",),
           lambda: [(ReferenceVersions, "take_read", lambda _versions, _name, _version: False)],
           Laws(events_drop_reads=False)),
    Mutant("M25", "a resource that names its account is not held to the one that it is bound to",
           ("build:1:K4:account=1,refer=1",), ("I25",), bound_to_the_name),
    Mutant("M26", "a create that was never answered is forgotten with the first listing that does not show it",
           ("build:1:K4:late=1,delete=1", "production:1:K4:late=1,delete=1"), ("I8",), forgotten_at_once),
    Mutant("M27", "a create that was never answered is forgotten though what it made lives beside the recorded one",
           ("build:1:K4:late=1,pause=1,delete=1", "preview:1:K4:late=1,pause=1,delete=1"), ("I8",), strays_ignored),
    Mutant("M28", "a create that was never answered is remembered for ever",
           ("build:1:K4:lost=1", "production:1:K4:error=1"), ("I20",),
           lambda: [(settle, "without_unanswered", lambda observed: observed)]),
)

# Searched unmutated too: what notices a mutant must have nothing to say of the production rules.
BASELINES = tuple(dict.fromkeys(one for mutant in MUTANTS for one in mutant.searches))
