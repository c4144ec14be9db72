"""Rivals: other production AgentDeployments of this cluster that deploy the same agent to the same account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.core.deployment import records

if TYPE_CHECKING:
    from agentex_operator.api.deployment import AgentDeployment

_NAMED = 3  # how many rivals a message names


@dataclass(frozen=True, slots=True, order=True)
class Rival:
    """Another AgentDeployment that may replace this one's deployment; `corrects`: it does so each time."""

    namespace: str
    name: str
    corrects: bool


def rival_of(other: AgentDeployment) -> Rival | None:
    """The other AgentDeployment of the same agent and account as a rival; None if it cannot replace a deployment now.

    It cannot while it is being deleted or suspended, or before its first create; nor if it only reports that its own
    deployment was replaced.
    """
    corrects = other.spec.on_external_change == "Correct"
    resting = not corrects and records.known_state(other.status) in records.DEAD
    if other.meta.deleting or other.spec.suspend or other.status.attempt == 0 or resting:
        return None
    return Rival(other.meta.namespace or "", other.meta.name, corrects)


def names(rivals: tuple[Rival, ...]) -> str:
    """The rivals by kind, namespace and name; beyond three, how many more there are."""
    named = [f"AgentDeployment {one.namespace}/{one.name}" for one in rivals[:_NAMED]]
    more = len(rivals) - _NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
