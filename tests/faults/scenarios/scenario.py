"""A scenario: what a user does, and what the judge is to expect of it; and how a scenario waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.runner.reusable_fixture import ReusableFixture

from agentex_testkit.api_server import Object, ready, remembered, says

BUILD, DEPLOYMENT = "AgentBuild", "AgentDeployment"
PATIENCE = 45.0


@dataclass(frozen=True)
class Scenario:
    """One scenario. `creates` by (kind, name) where it is not one; `extra_alive`: how many more than one may be
    alive.
    """

    name: str
    run: Callable[[ReusableFixture], None]
    creates: dict[tuple[str, str], int] = field(default_factory=dict)
    swept: bool = False      # the remote's own clean-up or ours ends it, whichever comes first
    never_rests: bool = False   # what was refused is tried again, slowly, for ever
    extra_alive: dict[tuple[str, str], int] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()   # the names of resources of which only one is left; which one depends on the moment


def wait(world: ReusableFixture, kind: str, name: str, until: Callable[[Object | None], bool] = ready) -> Object:
    """As ClusterFixture.wait, with time for a kill and a restart."""
    return world.wait(kind, name, until, PATIENCE)


def on_record(kind: str) -> Callable[[Object | None], bool]:
    """Whether the remote id is on record."""
    key = {BUILD: "buildID", DEPLOYMENT: "deploymentID"}[kind]
    return lambda obj: bool(((obj or {}).get("status") or {}).get(key))


def written_down(obj: Object | None) -> bool:
    """Whether a create was announced in the status."""
    status = (obj or {}).get("status") or {}
    return bool(status.get("attempt") or remembered(status).get("attempt"))


building = says("Ready", "Unknown", "Building")
