"""A world that is emptied and used again for the next plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from agentex_testkit.api_server import Object, eventually
from agentex_testkit.cluster_fixture import REMOTE, ClusterFixture
from agentex_testkit.hostile import SourceServer
from agentex_testkit.judge.evidence import Evidence
from agentex_testkit.judge.findings import Finding, Harm

KEPT = ("AgentexAccount",)
LEFT_BEHIND = ("AgentDeployment", "AgentBuild", "ConfigMap", "Secret")


@dataclass
class ReusableFixture(ClusterFixture):
    """A ClusterFixture that can be emptied; `sources` serves build contexts.

    `plan_from_here`: called by a scenario whose plans are to be made only from the calls that follow.
    `written_by_others`: the resourceVersions that another client wrote to undo the operator's writes.
    """

    sources: SourceServer = field(default_factory=SourceServer)
    plan_from_here: Callable[[], None] = lambda: None
    written_by_others: set[str] = field(default_factory=set)

    def begin_anew(self) -> None:
        """Remove everything by force; what is recorded and tracked from now on belongs to the next plan."""
        for kind in LEFT_BEHIND:
            self._remove_all(kind)
        self._known.clear()
        self.tracked.clear()
        self.written_by_others.clear()
        for recorder in self._recorders.values():
            recorder.forget()

    def evidence(self, ambiguous: int = 0) -> Evidence:
        """What the judge needs; without the versions that another client wrote to undo the operator's writes."""
        found = super().evidence(ambiguous)
        versions = {uid: [one for one in those if one["metadata"]["resourceVersion"] not in self.written_by_others]
                    for uid, those in found.versions.items()}
        return replace(found, versions=versions)

    @property
    def amount_written(self) -> int:
        """How many versions are recorded."""
        return sum(len(recorder.versions) for recorder in self._recorders.values())

    def last_written(self) -> Object:
        """The newest recorded version: its name and status."""
        newest = [one.versions[-1] for one in self._recorders.values() if one.versions]
        found = max(newest, key=lambda one: int(one["metadata"]["resourceVersion"]), default={})
        return {"name": found.get("metadata", {}).get("name"), "status": found.get("status")}

    def outliving(self) -> Iterator[Finding]:
        """A finding for every remote object that is alive when every resource is gone."""
        for one in self.left_alive():
            yield Finding("I21", f"everything was deleted, and {one['id']} lives on", Harm.LEAKED)

    def resources(self) -> Iterator[Object]:
        """Every build and deployment there is."""
        for kind in REMOTE:
            yield from ({**one, "kind": kind} for one in self.api.list(kind, self.namespace))

    def _remove_all(self, kind: str) -> None:
        def left() -> list[Object]:
            return [one for one in self.api.list(kind, self.namespace) if one["metadata"]["name"] != "kube-root-ca.crt"]

        for one in left():
            name = one["metadata"]["name"]
            self.delete(kind, name)
            if one["metadata"].get("finalizers"):
                self.patch(kind, name, metadata={"finalizers": None})
        eventually(lambda: not left())
