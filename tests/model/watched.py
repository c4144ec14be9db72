"""Kinds whose ConfigMap is watched: they have no look of their own while it is, so a change that is missed is lost."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any, ClassVar

from tests.core.core_fixture import ENVIRONMENTS, MANIFEST
from tests.model.builds import Build
from tests.model.deployments import Production
from tests.model.kinds import BROKEN, NAME, Kind, Object
from tests.model.sights import NONE, decoded
from tests.model.values import POLICY

from agentex_operator.core import calls, reasons
from agentex_operator.core.errors import NotReady

NOT_THERE = NotReady(reasons.CONFIG_MAP_NOT_FOUND, "There is no such ConfigMap.")
AT_REST = dataclasses.replace(POLICY, resync=timedelta(days=1))  # beyond the model's time: nothing heals a miss


class WatchedKind(Kind):
    """What differs where a ConfigMap is watched."""

    watches = True

    def begin(self, obj: Object, status: Any, source: int) -> Any:
        return dataclasses.replace(super().begin(obj, status, source), policy=AT_REST,
                                   references_watched=decoded(source)[1])

    def wanted(self, obj: Object, source: int) -> tuple[int, int]:
        return obj.spec, source % BROKEN


class Watched(WatchedKind, Build):
    """AgentBuild whose source is a ConfigMap that is watched."""

    name = "watched"

    def local(self, call: Any, source: int) -> Any:
        now, _, kept = decoded(source)
        version = kept if isinstance(call, calls.ResolveSource) and not call.live and kept != NONE else now
        if version >= BROKEN and isinstance(call, calls.ResolveSource | calls.StageContext):
            return NOT_THERE
        return super().local(call, version)

    def version_read(self, observed: Any) -> int | None:
        if observed.source_failure is not None:
            return BROKEN
        return None if observed.revision is None else int(observed.revision.revision[-1])


class Configured(WatchedKind, Production):
    """A production deployment whose manifest and environments are in a ConfigMap that is watched."""

    name = "configured"
    more: ClassVar[dict[str, Any]] = {
        "manifest": {"configMapKeyRef": {"name": NAME, "key": "manifest"}},
        "environments": {"configMapKeyRef": {"name": NAME, "key": "environments"}}}

    def wished(self, number: int) -> dict[str, Any]:
        return {"progressDeadline": f"{number + 1}h"}

    def wanted(self, obj: Object, source: int) -> tuple[int, int]:
        return 0, source % BROKEN

    def wish(self, observed: Any) -> tuple[int, int]:
        return 0, self.version_read(observed) or 0

    def local(self, call: Any, source: int) -> Any:
        if not isinstance(call, calls.ReadText):
            return super().local(call, source)
        now, _, kept = decoded(source)
        version = now if call.live or kept == NONE else kept
        if version >= BROKEN:
            return NOT_THERE
        return ENVIRONMENTS if call.ref.key == "environments" else MANIFEST.replace("Answers", f"Answers {version}")

    def version_read(self, observed: Any) -> int | None:
        if observed.failure is not None and observed.failure.reason == reasons.CONFIG_MAP_NOT_FOUND:
            return BROKEN
        texts = [text for ref, text in observed.texts if ref.key == "manifest"]
        return int(texts[-1].partition("Answers ")[2][0]) if texts else None


WATCHED = (Watched, Configured)
