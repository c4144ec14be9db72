"""What a search goes through: configurations with their budgets, states, replicas, and the steps between states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.model.accounts import KNOWN, PRESENT, Entry
from tests.model.sights import Sight

FAULTS = ("crash", "lost", "error", "late", "refuse", "slow", "lag", "stale", "fail", "purge", "unread", "travel",
          "gap", "deny")
ACTS = ("edit", "source", "revert", "pause", "cancel", "resume", "ask", "delete", "recreate", "account", "restore",
        "refer")
BUDGETS = FAULTS + ACTS
AT = {name: n for n, name in enumerate(BUDGETS)}
NEVER = -1


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One search: which kind, how many replicas, how much of what may go wrong, how many versions are kept."""

    kind: str
    replicas: int = 1
    versions: int = 4
    budgets: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Kind, replicas and budgets in a word that the command line reads back."""
        spent = ",".join(f"{key}={self.budgets[key]}" for key in BUDGETS if self.budgets.get(key))
        return f"{self.kind}:{self.replicas}:K{self.versions}:{spent}"

    @classmethod
    def parse(cls, name: str) -> Configuration:
        """The configuration of that name."""
        kind, replicas, versions, spent = name.split(":")
        budgets = {key: int(value) for key, value in (one.split("=") for one in spent.split(",") if one)}
        return cls(kind=kind, replicas=int(replicas), versions=int(versions[1:]), budgets=budgets)


@dataclass
class Laws:
    """How the outside behaves towards us; mutants bend them."""

    conditional_writes: bool = True
    client_retries: bool = False
    events_drop_reads: bool = True  # a read that is kept is not older than the change that was told
    unjudged: str = ""        # an invariant that is looked away from, to see what else would notice


class Replica(NamedTuple):
    """One operator process: what its engine, its inventory and its pass in flight remember."""

    lag: int = 0             # versions that its view is behind
    dirty: bool = True       # the view is news
    due: int = NEVER         # ticks until it looks by itself
    follows: bool = False    # its inventory wakes it when the remote side looks other than `shown`
    shown: int = 0
    memory: int = 0          # of the pass in flight; 0: none
    fresh: bool = False      # the pass's view is still the newest version
    fenced: bool = False     # the pass's last call was a conditional write of an intent
    account: Entry = KNOWN   # what it knows of the account
    sight: Sight = Sight()   # what it has of the ConfigMap that the resource names


class State(NamedTuple):
    """One state: versions of the object (newest last), remote records, creates on their way, and the rest."""

    versions: tuple[int, ...]
    remote: tuple[int, ...]
    flights: tuple[int, ...]
    source: int
    left: tuple[int, ...]
    replicas: tuple[Replica, ...]
    account: int = PRESENT


class Edge(NamedTuple):
    """One step; `label` is rendered only when somebody reads it."""

    label: tuple[Any, ...]
    state: State
    system: bool = False
    writes: bool = False
    violation: str | None = None
