"""Lists and watches of objects by their metadata alone: what else is in the objects is never sent by the API server."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from agentex_operator.core.errors import Rejected, Unavailable
from agentex_operator.kube import responses
from agentex_operator.kube.cluster import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentex_operator.kube.api import Api
    from agentex_operator.kube.kinds import Kind

# No other type is accepted: an API server that cannot leave the content out answers 406 instead of sending it.
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

WATCH_SECONDS: Final = 120  # after which the API server ends a watch
LATE: Final = 15            # seconds by which a connection may be late until it counts as broken


Name = tuple[str, str]  # namespace and name of an object


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One object at one version, by its metadata. An object that is made anew has another version, too."""

    name: Name
    resource_version: str


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; of a bookmark only `resource_version` means something."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: ObjectVersion


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a list. `version`: the one of the whole list."""

    version: str
    objects: tuple[ObjectVersion, ...]


class MetadataReader:
    """Reads the metadata of all objects of a kind, in one namespace or in all (None). Raises as Cluster does."""

    def __init__(self, api: Api, kind: Kind) -> None:
        self._api = api
        self._kind = kind

    async def list(self, namespace: str | None) -> AsyncIterator[Chunk]:
        """Yield a live list chunk by chunk."""
        more: str | None = ""
        while more is not None:
            chunk = await self._read(namespace, CHUNK, more)
            yield Chunk(_version(chunk), tuple(_object_version(item) for item in chunk.get("items") or ()))
            more = _metadata(chunk).get("continue") or None

    async def storage_version(self, namespace: str | None) -> str:
        """The resourceVersion at which the API server lists the kind now."""
        return _version(await self._read(namespace, 1, ""))

    @contextlib.asynccontextmanager
    async def watch(self, namespace: str | None, since: str) -> AsyncIterator[AsyncIterator[Change]]:
        """Open a watch, and give each change after version `since` until the API server ends it after WATCH_SECONDS.

        Raises Rejected if the API server does not know the changes after that version any more (410).
        """
        path = (f"{self._kind.collection(namespace)}?watch=true&allowWatchBookmarks=true"
                f"&resourceVersion={quote(since, safe='')}&timeoutSeconds={WATCH_SECONDS}")
        async with self._api.stream(path, METADATA, WATCH_SECONDS + LATE) as events:
            yield (_change(event) async for event in events)

    async def _read(self, namespace: str | None, limit: int, more: str) -> dict[str, Any]:
        path = f"{self._kind.collection(namespace)}?limit={limit}&continue={quote(more, safe='')}"
        found = await self._api.get(path, METADATA_LIST)
        if found is None:
            raise Unavailable(f"the API server does not serve {self._kind.plural}")
        return found


def _change(event: Mapping[str, Any]) -> Change:
    """The event as a value. Raises the error that an event ERROR tells."""
    kind, obj = event.get("type"), event.get("object") or {}
    match kind:
        case "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK":
            return Change(kind, _object_version(obj))
        case "ERROR" if obj.get("code") == 410:
            raise Rejected("the API server does not keep changes that long", status=410)
        case _:
            reason = str(obj.get("message") or obj.get("reason") or kind)[:responses.LONGEST_MESSAGE]
            raise Unavailable(f"the watch ended: {reason}")


def _object_version(obj: Mapping[str, Any]) -> ObjectVersion:
    found = _metadata(obj)
    namespace, name, version = (str(found.get(key) or "") for key in ("namespace", "name", "resourceVersion"))
    return ObjectVersion((namespace, name), version)


def _version(chunk: Mapping[str, Any]) -> str:
    return str(_metadata(chunk).get("resourceVersion") or "")


def _metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}
