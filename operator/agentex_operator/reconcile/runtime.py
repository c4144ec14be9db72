"""Runtime: the engine and the adapters that every reconciler uses, in one value that bootstrap makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.reconcile.announcements import Announcements
from agentex_operator.reconcile.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentex_operator.clock import Clock
    from agentex_operator.core.plan import Policy
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.events import Recorder
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.kube.secret_reads import CheckedObjects
    from agentex_operator.network.connections import Routes
    from agentex_operator.reconcile.accounts import Accounts
    from agentex_operator.reconcile.crd_check import CrdCheck
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.holders import Holders
    from agentex_operator.reconcile.undone_writes import UndoneWrites
    from agentex_operator.reconcile.views import View
    from agentex_operator.reconcile.watched_references import WatchedReferences
    from agentex_operator.sources import Sources


@dataclass(frozen=True, slots=True)
class Runtime:
    """The engine, the adapters and the settings of time that all passes share."""

    engine: Engine
    cluster: Cluster
    objects: CheckedObjects
    recorder: Recorder
    undone: UndoneWrites
    accounts: Accounts
    holders: Holders
    crds: CrdCheck
    references: WatchedReferences
    sources: Sources
    routes: Routes
    clock: Clock
    policy: Policy
    keep_secret: Callable[[str], None]  # removes the secret from every later log line

    def writer(self, kind: Kind, view: View) -> Writer:
        """A writer of this object, for one pass."""
        announcements = Announcements(self.recorder, self.clock, kind)
        return Writer(self.cluster, self.engine, announcements, self.undone, kind, view)
