"""The judge: what the simulator's ledger must say of the resources of a test (reliability.md section 3).

I1 at most one live remote object each; I2 no create without need; I4 nothing of anybody else touched; I21 nothing
left of what was deleted; and nothing of ours there that belongs to no resource.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agentex_simulator import SimulatorClient

Entry = dict[str, Any]

UNFINISHED = {"queued", "building", "running", "pending", "cancelling", "deleting", "unknown"}
OVER = {"deleted", "cancelled", "superseded"}
REMOTE = {"AgentBuild": "build", "AgentDeployment": "deployment"}
TAG = re.compile(r"^[0-9a-f]{12}-([0-9a-f]{8})\d+$")
REF = re.compile(r"\(agentex\.scale\.com/owner ([0-9a-f]{8})\.\d+\)$")
COMMENT = re.compile(r"^# agentex\.scale\.com/owner: (\S+/\S+)/[0-9a-f]{12}/\d+$")


@dataclass
class Tracked:
    """A resource of this test. `creates` counts the remote creates that the test explains; `orphan` may stay."""

    kind: str
    name: str
    uid: str
    creates: int = 1
    orphan: bool = False
    gone: bool = False

    def owner(self, cluster: str) -> str:
        """How the remote objects of this resource name it; spelled out here again, for this is the judge."""
        whole = f"{cluster}/{self.uid}"
        return hashlib.sha256(whole.encode()).hexdigest()[:8] if self.kind == "AgentBuild" else whole


def owner_in(entry: Entry) -> str | None:
    """Whose a remote object is, by its token; None where it carries none."""
    if entry["kind"] == "deployment":
        found = COMMENT.match(entry["manifest_first_line"])
    else:
        found = REF.search(entry.get("source_ref") or "") or TAG.match(entry["image_tag"])
    return found[1] if found else None


def is_alive(entry: Entry) -> bool:
    """Whether it runs or may still run: a build that ended does not, a failed deployment still owns a release."""
    return entry["status"] in UNFINISHED if entry["kind"] == "build" else entry["status"] not in OVER


def remotes(simulator: SimulatorClient, owner: str) -> list[Entry]:
    """The remote objects of this owner, as they truly are."""
    state = simulator.state()
    return [one for one in (*state["builds"], *state["deployments"]) if owner_in(one) == owner]


def created(simulator: SimulatorClient, owner: str) -> list[Entry]:
    """Every create of this owner that was committed."""
    return [one for one in _by_us(simulator.ledger()) if one["verb"] == "create" and owner_in(one) == owner]


def _by_us(ledger: Iterable[Entry]) -> list[Entry]:
    """What was committed through the API, to builds and deployments."""
    return [one for one in ledger if one["cause"] == "api" and one["kind"] in REMOTE.values()]


def judge(simulator: SimulatorClient, cluster: str, tracked: Sequence[Tracked], known: Iterable[Tracked]) -> list[str]:
    """Every way in which the ledger breaks the promises; empty when they are kept."""
    owners = {one.owner(cluster) for one in known}
    return [fault for one in tracked for fault in _faults(simulator, one, cluster)] + _strangers(simulator, owners)


def _faults(simulator: SimulatorClient, one: Tracked, cluster: str) -> list[str]:
    owner, name = one.owner(cluster), f"{one.kind} {one.name}"
    creates, living = created(simulator, owner), [it["id"] for it in remotes(simulator, owner) if is_alive(it)]
    most = 0 if one.gone and not one.orphan else 1
    alive = [f"{name} has {len(living)} live: {living}"] if len(living) > most else []
    often = [f"{name} was created {len(creates)} times, not {one.creates}"] if len(creates) > one.creates else []
    return alive + often


def _strangers(simulator: SimulatorClient, owners: set[str]) -> list[str]:
    """Our tokens that name no resource of ours; and removals of what carries no token of ours."""
    ours = _by_us(simulator.ledger())
    unknown = [one["id"] for one in ours if owner_in(one) not in {*owners, None}]
    touched = [one["id"] for one in ours if one["verb"] in ("delete", "cancel") and owner_in(one) is None]
    return [f"{one} belongs to no resource" for one in unknown] + [f"{one}, not ours, was touched" for one in touched]
