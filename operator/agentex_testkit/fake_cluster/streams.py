"""The watches of metadata that a fake API server serves as streams: open, ended, broken, or too late to begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import Kind
from agentex_testkit.fake_cluster.answers import ApiError

PARTIAL = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}


def partial(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an object as an object of its own."""
    return {**PARTIAL, "metadata": dict(obj["metadata"])}


@dataclass(frozen=True)
class _Event:
    version: int
    kind: Kind
    namespace: str | None
    content: dict[str, Any]


@dataclass(eq=False)
class _Stream:
    """One open watch: the events that it has not told yet."""

    kind: Kind
    namespace: str | None
    queue: list[_Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False
    error: Exception | None = None

    def add(self, event: _Event) -> None:
        if event.kind == self.kind and self.namespace in (None, event.namespace):
            self.queue.append(event)
            self.news.set()

    def close(self, error: Exception | None) -> None:
        """Tell what is queued, then end; with `error`, drop it and break."""
        self.over, self.error = True, error
        self.news.set()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            await self.news.wait()
            self.news.clear()
            if self.error is not None:
                raise self.error
            while self.queue:
                yield self.queue.pop(0).content
            if self.over:
                return


class FakeStreams:
    """Keeps every event, and tells the open watches of those after the version from which they were opened."""

    def __init__(self) -> None:
        self._events: list[_Event] = []
        self._open: list[_Stream] = []
        self._oldest = 0  # a watch from before this version is answered 410

    def add(self, kind: Kind, event: str, obj: Mapping[str, Any]) -> None:
        """Take in a change: ADDED, MODIFIED or DELETED."""
        metadata = obj["metadata"]
        one = _Event(int(metadata["resourceVersion"]), kind, metadata.get("namespace"),
                     {"type": event, "object": partial(obj)})
        self._events.append(one)
        for stream in self._open:
            stream.add(one)

    @contextmanager
    def opened(self, kind: Kind, namespace: str | None, since: int) -> Iterator[AsyncIterator[dict[str, Any]]]:
        """Open a watch of what changed after this version. Raises ApiError 410 if that was forgotten."""
        if since < self._oldest:
            raise ApiError(410, f"too old resource version: {since} ({self._oldest})")
        stream = _Stream(kind, namespace)
        for event in self._events:
            if event.version > since:
                stream.add(event)
        self._open.append(stream)
        try:
            yield stream.events()
        finally:
            self._open.remove(stream)

    def end(self) -> None:
        """End every open watch as the API server does after a time: what happened before is told."""
        for stream in self._open:
            stream.close(None)

    def cut(self) -> None:
        """Break every open watch: what was not told yet is lost with it."""
        for stream in self._open:
            stream.close(Unavailable("the API server gave no answer to a watch: ClientPayloadError"))

    def tell_again(self, at: int) -> None:
        """Tell every open watch once more of the event at this place of the history, if it is remembered."""
        if -len(self._events) <= at < len(self._events):
            for stream in self._open:
                stream.add(self._events[at])

    def forget(self, version: int) -> None:
        """Forget the changes up to this version: a watch from before it must list anew."""
        self._events, self._oldest = [], version

    @property
    def open(self) -> int:
        """How many watches are open."""
        return len(self._open)

    @property
    def pending(self) -> int:
        """How many events, ends and breaks the open watches were not told yet."""
        return sum(len(stream.queue) + stream.over for stream in self._open)
