"""The recorder of Kubernetes Events: repeated Events are counted in a series; none ever delays or fails a pass."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agentex_operator import logs
from agentex_operator.core import guard
from agentex_operator.core.errors import Conflict, ExternalError
from agentex_operator.kube.kinds import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.clock import Clock
    from agentex_operator.kube.api import Api

log = logs.logger(__name__)

CONTROLLER = "agentex.scale.com/operator"
LONGEST_NOTE = 1024  # bytes; the API server refuses a longer note
BURST = 25  # Events per object at once
REFILL = timedelta(minutes=5)  # until one more Event per object is allowed
QUEUE_SIZE = 5000  # Events that wait to be written; each is about 1.5 kB
MOST_REMEMBERED = 4096  # objects whose rate, and Events whose count, are remembered

Value = TypeVar("Value")
EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class _PendingEvent:
    """An Event that waits to be written."""

    namespace: str
    name: str
    body: dict[str, Any]
    emitted_at: str


@dataclass(slots=True)
class _Bucket:
    """The token bucket of one object: how many Events it may have now."""

    tokens: float
    filled_at: float


class Recorder:
    """Writes Events about objects. `emit` never waits and never raises; an Event beyond the limits is dropped."""

    def __init__(self, api: Api, clock: Clock, instance: str, clean: Callable[[str], str] = str) -> None:
        self._api = api
        self._clock = clock
        self._instance = instance[:128]
        self._clean = clean
        self._queue: asyncio.Queue[_PendingEvent] = asyncio.Queue(QUEUE_SIZE)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def emit(self, obj: Mapping[str, Any], type: EventType, reason: str, message: str, action: str) -> None:  # noqa: A002 - the field's name
        """Queue an Event about `obj` (a whole object, with apiVersion and kind); reason and action are CamelCase."""
        if self._queue.full() or not self._take_token(obj["metadata"]["uid"]):
            self.dropped += 1
            return
        note = cut(self._clean(message), LONGEST_NOTE)
        texts = {"type": type, "reason": reason, "note": note, "action": action}
        self._queue.put_nowait(self._event(obj, texts))

    async def start(self) -> None:
        """Start the task that writes the emitted Events."""
        self._task = asyncio.create_task(self._write_all(), name="event recorder")

    async def flushed(self, within: timedelta) -> bool:
        """Wait until the emitted Events are written; False if that took longer than `within`."""
        waiting = asyncio.create_task(self._queue.join())
        done, _ = await asyncio.wait([waiting], timeout=within.total_seconds())
        waiting.cancel()
        return bool(done)

    async def drain(self, within: timedelta) -> None:
        """Write the emitted Events for at most `within`, then stop."""
        if self._task is None:
            return
        await self.flushed(within)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _take_token(self, uid: str) -> bool:
        """Whether the object may have one more Event now."""
        now = self._clock.monotonic()
        bucket = _most_recent(self._buckets, uid, _Bucket(BURST, now))
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.filled_at) / REFILL.total_seconds())
        bucket.filled_at = now
        allowed = bucket.tokens >= 1
        bucket.tokens -= allowed
        return allowed

    def _event(self, obj: Mapping[str, Any], texts: Mapping[str, str]) -> _PendingEvent:
        metadata, at = obj["metadata"], micro_time(self._clock.now())
        namespace = metadata.get("namespace") or "default"
        name = event_name(metadata["name"], metadata["uid"], texts["reason"], texts["note"])
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": at,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": _reference(obj),
            **texts,
        }
        return _PendingEvent(namespace, name, body, at)

    async def _write_all(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                await self._write(event)
            except ExternalError as error:  # 403 or 404 in a terminating namespace, or no API server
                self.dropped += 1
                log.debug("event dropped", event=event.name, namespace=event.namespace, error=error.message)
            except Exception:  # a bug must not end the task
                log.exception("event recorder: this is a bug in the operator")
            finally:
                self._queue.task_done()

    async def _write(self, event: _PendingEvent) -> None:
        """Create an Event not written before; count it in its series if it was, by this process or an earlier one."""
        key = f"{event.namespace}/{event.name}"
        if key not in self._counts:
            self._counts[key] = await self._create(event)
        else:
            self._counts[key] = await self._count(event, self._counts[key] + 1)
        _most_recent(self._counts, key, 1)

    async def _create(self, event: _PendingEvent) -> int:
        try:
            await self._api.post(EVENT.collection(event.namespace), event.body)
        except Conflict:
            return await self._count(event, await self._earlier_count(event) + 1)
        return 1

    async def _count(self, event: _PendingEvent, count: int) -> int:
        """Write the count of the series and return it; create the Event anew if it has expired meanwhile."""
        try:
            series = {"count": count, "lastObservedTime": event.emitted_at}
            await self._api.patch(EVENT.path(event.namespace, event.name), {"series": series})
        except Conflict:
            await self._api.post(EVENT.collection(event.namespace), event.body)
            return 1
        return count

    async def _earlier_count(self, event: _PendingEvent) -> int:
        """The count of an Event that an earlier process wrote. An empty patch needs no permission to get Events."""
        found = await self._api.patch(EVENT.path(event.namespace, event.name), {})
        return guard.or_none(int, (found.get("series") or {}).get("count", 1)) or 1


def event_name(name: str, uid: str, reason: str, note: str) -> str:
    """A valid object name; the same name for the same reason and note about the same object."""
    digest = hashlib.sha256(f"{uid}\n{reason}\n{note}".encode("utf-8", "replace")).hexdigest()[:16]
    return f"{name[:200].rstrip('.-')}.{digest}"


def micro_time(moment: datetime) -> str:
    """The moment as meta/v1 MicroTime: RFC 3339 in UTC with six digits."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cut(text: str, most: int) -> str:
    """The text in at most that many UTF-8 bytes, with an ellipsis at the end if it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode()
    return encoded[: most - 3].decode("utf-8", "ignore") + "…"


def _reference(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    reference = {key: metadata.get(key) for key in ("namespace", "name", "uid", "resourceVersion")}
    reference |= {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    return {key: value for key, value in reference.items() if value}


def _most_recent(values: OrderedDict[str, Value], key: str, default: Value) -> Value:
    """The value of a key, marked as the most recently used; the least recently used ones are evicted."""
    value = values.setdefault(key, default)
    values.move_to_end(key)
    while len(values) > MOST_REMEMBERED:
        values.popitem(last=False)
    return value
