"""Finds that a CRD of the operator is missing, or older than the operator: then fields of a status would be lost.

A kind that is not served has no watch. When a kind vanishes or comes, the operator starts anew, in the same process.
A resource whose CRD lacks a field of its status has no pass: what the operator remembers there would be pruned, and
a remote object could be created twice. The published schemas tell it, and the answers to writes (RemotePass in
reconcile/remote.py).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentex_operator import logs
from agentex_operator.api import crds
from agentex_operator.core import installed_crds, reasons
from agentex_operator.core.errors import ExternalError, NotReady, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.api.structural import Schema
    from agentex_operator.clock import Clock
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.engine import Engine

log = logs.logger(__name__)

INTERVAL: Final = timedelta(seconds=5)  # between two looks at what the API server serves
OWN_SCHEMAS: Final[Mapping[str, Schema]] = {
    model.names.kind: crds.schema(model)["properties"] for model in crds.COLUMNS}


class KindsChangedError(ExternalError):
    """The API server serves other kinds than at the start: the operator must start anew."""


class CrdCheck:
    """What the API server serves of the operator's kinds: `served` as of the last `read`, the fields as of now."""

    def __init__(self, engine: Engine, cluster: Cluster, clock: Clock, kinds: tuple[Kind, ...]) -> None:
        self.engine, self._cluster, self._clock, self._kinds = engine, cluster, clock, kinds
        self.served: tuple[Kind, ...] = ()
        self._lacking: dict[str, tuple[str, ...]] = {}  # by kind, the fields that its CRD would prune
        self._logged: dict[str, tuple[str, ...]] = {}   # the same, as the log says
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    @property
    def missing(self) -> frozenset[str]:
        """The names of the kinds that are not served."""
        return frozenset(kind.kind for kind in self._kinds if kind not in self.served)

    async def read(self) -> None:
        """Read what is served, and log what is missing. Raises as Cluster does."""
        self.served = await self._cluster.served(self._kinds)
        for kind in sorted(self.missing):
            log.error(f"{installed_crds.not_served(kind)} {installed_crds.INSTALL}")
        await self._read_fields()

    async def run(self) -> None:
        """Look at intervals, for ever. Raises KindsChangedError once other kinds are served than at the start."""
        while True:
            await self._clock.sleep(INTERVAL.total_seconds())
            try:
                await self.require_same_kinds()
                await self._refresh_fields()
            except KindsChangedError:
                raise
            except ExternalError as error:
                log.debug("the CRDs are not checked", error=error.message)
            except Exception:  # the next look comes; without it a kind that comes would not be noticed
                log.exception("the CRDs are not checked")

    async def require_same_kinds(self) -> None:
        """Raise KindsChangedError if other kinds are served than at the start; else as Cluster does."""
        now = await self._cluster.served(self._kinds)
        if now == self.served:
            return
        gone, come = (", ".join(kind.kind for kind in left if kind not in right)
                      for left, right in ((self.served, now), (now, self.served)))
        changes = [f"{names} {what}" for names, what in ((gone, "vanished"), (come, "came")) if names]
        raise KindsChangedError(f"CRDs have changed: {'; '.join(changes)}. The operator starts anew.")

    def problem(self) -> str | None:
        """What is wrong with the CRDs, and the next step; None if nothing is."""
        told = [f"{installed_crds.not_served(kind)} {installed_crds.INSTALL}" for kind in sorted(self.missing)]
        told += [installed_crds.outdated(kind, fields) for kind, fields in self._lacking.items()]
        return " ".join(told) or None

    # -- for the passes over resources -------------------------------------------------------------------------

    async def require_current(self, kind: Kind) -> None:
        """Raise NotReady, with the next step, if the API server would not store all of a status of this kind."""
        if self._unstored(kind.kind):
            await self._refresh_fields()
        if unstored := self._unstored(kind.kind):
            raise NotReady(reasons.CRD_OUTDATED, installed_crds.outdated(kind.kind, unstored))

    def require_stored(self, kind: Kind, written: Mapping[str, object], stored: object) -> None:
        """Raise NotReady, as `require_current` does from now on, if the API server did not store all of a status."""
        lost = tuple(dict.fromkeys(installed_crds.lost_fields(written, stored, "status")))
        if lost:
            self._read_at = self._clock.monotonic()
            self._set_lacking(self._lacking | {kind.kind: lost})
            raise NotReady(reasons.CRD_OUTDATED, installed_crds.outdated(kind.kind, lost))

    def _unstored(self, kind: str) -> tuple[str, ...]:
        """The fields of a status of this kind that the API server would not store."""
        return tuple(field for field in self._lacking.get(kind, ()) if field.startswith("status"))

    # -- the fields --------------------------------------------------------------------------------------------

    async def _refresh_fields(self) -> None:
        """Read the fields again if some are missing, and the last look is some time ago."""
        async with self._reading:
            if self._lacking and self._clock.monotonic() - self._read_at >= INTERVAL.total_seconds():
                await self._read_fields()

    async def _read_fields(self) -> None:
        published = await self._schemas()
        self._read_at = self._clock.monotonic()
        own = {kind: OWN_SCHEMAS[kind] for kind in published if kind in OWN_SCHEMAS}
        found = {kind: _missing_fields(parts, published[kind]) for kind, parts in own.items()}
        self._set_lacking({kind: fields for kind, fields in found.items() if fields})

    async def _schemas(self) -> Mapping[str, Schema]:
        """The schemas that the API server publishes; none where the operator may not read them: then writes tell."""
        found: dict[str, Schema] = {}
        for root in sorted({kind.root for kind in self.served}):
            try:
                found |= await self._cluster.schemas(root)
            except Unauthorized as error:
                log.info("the schemas of the CRDs cannot be read", error=error.message)
        return found

    def _set_lacking(self, lacking: dict[str, tuple[str, ...]]) -> None:
        """Record which fields are missing; log what is new, and wake the resources whose CRD was updated."""
        before, self._lacking = self._lacking, lacking
        for kind, fields in lacking.items():
            if self._logged.get(kind) != fields:
                self._logged[kind] = fields
                log.error(installed_crds.outdated(kind, fields), fields=list(fields))
        for kind in before.keys() - lacking.keys():
            log.debug("the CRD may store all fields now", kind=kind)
            for view in self.engine.views(kind):
                self.engine.wake(view.uid)


def _missing_fields(own: Schema, served: Schema) -> tuple[str, ...]:
    """The fields of spec and status that the served schema of the whole object lacks."""
    members = served.get("properties") or {}
    return tuple(field for part in ("status", "spec")
                 for field in installed_crds.missing_fields(own[part], members.get(part) or {}, part))
