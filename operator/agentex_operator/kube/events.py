"""Kubernetes Events, one recorder: said once per transition, counted when repeated, lost rather than in the way."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agentex_operator import logs
from agentex_operator.core.errors import Conflict, ExternalError
from agentex_operator.kube.kinds import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.clock import Clock
    from agentex_operator.kube.api import Api

log = logs.logger(__name__)

CONTROLLER = "agentex.scale.com/operator"
LONGEST_NOTE = 1024  # bytes; the API server refuses more
BURST = 25  # events per object at once
REFILL = timedelta(minutes=5)  # until one more is allowed
QUEUED = 1000
REMEMBERED = 4096

Value = TypeVar("Value")
EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class _Said:
    """One thing to say, with all that identifies it."""

    namespace: str
    name: str
    body: dict[str, Any]
    at: str


@dataclass(slots=True)
class _Bucket:
    """How many more events one object may have."""

    tokens: float
    since: float


class Recorder:
    """Says what happened to an object. `emit` never waits and never raises; what does not fit is dropped."""

    def __init__(self, api: Api, clock: Clock, instance: str, clean: Callable[[str], str] = str) -> None:
        self._api = api
        self._clock = clock
        self._instance = instance[:128]
        self._clean = clean
        self._queue: asyncio.Queue[_Said] = asyncio.Queue(QUEUED)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def emit(self, obj: Mapping[str, Any], type: EventType, reason: str, message: str, action: str) -> None:  # noqa: A002 - the field's name
        """Say it about `obj` (a whole object, with apiVersion and kind): reason and action are CamelCase words."""
        if self._queue.full() or not self._may_speak(obj["metadata"]["uid"]):
            self.dropped += 1
            return
        note = cut(self._clean(message), LONGEST_NOTE)
        self._queue.put_nowait(self._said(obj, {"type": type, "reason": reason, "note": note, "action": action}))

    async def start(self) -> None:
        """Begin to write what was emitted."""
        self._task = asyncio.create_task(self._write_all(), name="event recorder")

    async def flushed(self, within: timedelta) -> bool:
        """Wait until what was emitted is written; False where the time was too short."""
        waiting = asyncio.create_task(self._queue.join())
        done, _ = await asyncio.wait([waiting], timeout=within.total_seconds())
        waiting.cancel()
        return bool(done)

    async def drain(self, within: timedelta) -> None:
        """Write what was emitted, as far as the time allows, and stop."""
        if self._task is None:
            return
        await self.flushed(within)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _may_speak(self, uid: str) -> bool:
        now = self._clock.monotonic()
        bucket = _touched(self._buckets, uid, _Bucket(BURST, now))
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.since) / REFILL.total_seconds())
        bucket.since = now
        allowed = bucket.tokens >= 1
        bucket.tokens -= allowed
        return allowed

    def _said(self, obj: Mapping[str, Any], words: Mapping[str, str]) -> _Said:
        metadata, at = obj["metadata"], micro_time(self._clock.now())
        namespace = metadata.get("namespace") or "default"
        name = event_name(metadata["name"], metadata["uid"], words["reason"], words["note"])
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": at,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": _reference(obj),
            **words,
        }
        return _Said(namespace, name, body, at)

    async def _write_all(self) -> None:
        while True:
            said = await self._queue.get()
            try:
                await self._write(said)
            except ExternalError as error:  # 403 or 404 in a terminating namespace, or the server is away
                self.dropped += 1
                log.debug("event dropped", event=said.name, namespace=said.namespace, error=error.message)
            except Exception:  # the recorder must outlive its own bugs
                log.exception("event recorder: this is a bug in the operator")
            finally:
                self._queue.task_done()

    async def _write(self, said: _Said) -> None:
        """Create it the first time; afterwards, here or in an earlier life, count it in its series."""
        key = f"{said.namespace}/{said.name}"
        if key not in self._counts:
            self._counts[key] = await self._create(said)
        else:
            self._counts[key] = await self._count(said, self._counts[key] + 1)
        _touched(self._counts, key, 1)

    async def _create(self, said: _Said) -> int:
        try:
            await self._api.post(EVENT.collection(said.namespace), said.body)
        except Conflict:
            return await self._count(said, await self._counted(said) + 1)
        return 1

    async def _count(self, said: _Said, count: int) -> int:
        """Write the count; where the event has expired meanwhile, begin a new one."""
        try:
            series = {"count": count, "lastObservedTime": said.at}
            await self._api.patch(EVENT.path(said.namespace, said.name), {"series": series})
        except Conflict:
            await self._api.post(EVENT.collection(said.namespace), said.body)
            return 1
        return count

    async def _counted(self, said: _Said) -> int:
        """How often an earlier life said it: an empty patch reads without the right to get."""
        found = await self._api.patch(EVENT.path(said.namespace, said.name), {})
        return int((found.get("series") or {}).get("count", 1))


def event_name(name: str, uid: str, reason: str, note: str) -> str:
    """The same for the same thing said of the same object, and a valid object name."""
    digest = hashlib.sha256(f"{uid}\n{reason}\n{note}".encode()).hexdigest()[:16]
    return f"{name[:200].rstrip('.-')}.{digest}"


def micro_time(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits, as meta/v1 MicroTime wants."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cut(text: str, most: int) -> str:
    """The text within that many UTF-8 bytes, with an ellipsis where something is missing."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode("utf-8", "ignore") + "…"


def _reference(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    reference = {key: metadata.get(key) for key in ("namespace", "name", "uid", "resourceVersion")}
    reference |= {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    return {key: value for key, value in reference.items() if value}


def _touched(kept: OrderedDict[str, Value], key: str, fresh: Value) -> Value:
    """The value of a key, now the most recently used; the least recently used make room."""
    value = kept.setdefault(key, fresh)
    kept.move_to_end(key)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
    return value
