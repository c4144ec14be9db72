"""Which remote objects a write of the status adopts, and why: those on record that the resource did not just create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from agentex_operator.api.status import RemoteStatus

AdoptionReason = Literal["FoundByToken", "Requested", "Restored"]


def adopted(before: RemoteStatus, after: RemoteStatus, uid: str, created: Set[str]) -> Mapping[str, AdoptionReason]:
    """The ids that this write adopts for the resource of this uid, each with the reason.

    `created`: the ids that answers to creates of this pass had.
    """
    taken_over = _taken_over(after) - _taken_over(before)
    if taken_over:
        return dict.fromkeys(sorted(taken_over), "Restored" if _names_objects(before, uid) else "Requested")
    id_, is_ours = after.remote_id, after.operator.written_for in (None, uid)
    if id_ is None or id_ == before.remote_id or id_ in created or not is_ours:
        return {}
    return {id_: "FoundByToken"}


def _taken_over(status: RemoteStatus) -> frozenset[str]:
    adoption = status.operator.adoption
    return frozenset(one.id for one in adoption.objects) if adoption else frozenset()


def _names_objects(status: RemoteStatus, uid: str) -> bool:
    """Whether the status already named what is taken over: it came from a backup, or with a move."""
    return status.remote_id is not None or status.operator.written_for not in (None, uid)
