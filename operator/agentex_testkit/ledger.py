"""Read the simulator's ledger: which resource owns a remote object, and whether the object is alive."""

from __future__ import annotations

import hashlib
import re
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
    """A resource of this test, and what the test explains.

    `creates`: how many remote creates; `unanswered`: how many more that nobody was told of; `orphan`: the remote object
    may stay when the resource is gone; `beside`: how many may be alive beside the one on record, as the predecessor of
    a preview that failed; `returns`: how often the test asks again for what it asked for before, so that what was made
    then may serve on until what is made now does; `inherits`: ids of remote objects that it takes over, whatever owner
    their tokens name; `may_inherit`: the same, where another resource may be the one that takes them over.
    """

    kind: str
    name: str
    uid: str
    creates: int = 1
    unanswered: int = 0
    orphan: bool = False
    beside: int = 0
    returns: int = 0
    gone: bool = False
    inherits: frozenset[str] = frozenset()
    may_inherit: frozenset[str] = frozenset()

    def owner(self, cluster: str) -> str:
        """The token by which remote objects name this resource; computed here again, independent of the operator."""
        whole = f"{cluster}/{self.uid}"
        return hashlib.sha256(whole.encode()).hexdigest()[:8] if self.kind == "AgentBuild" else whole


def owner_in(entry: Entry) -> str | None:
    """The token of the owner of a remote object; None where it carries none."""
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
    mine = (one for one in simulator.ledger() if one["cause"] == "api" and one["kind"] in REMOTE.values())
    return [one for one in mine if one["verb"] == "create" and owner_in(one) == owner]
