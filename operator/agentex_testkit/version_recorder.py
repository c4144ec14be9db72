"""Record every version of the objects of one kind, from one watch that is opened again when it breaks off."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

import httpx

from agentex_testkit.api_server import GROUP, LOOK_EVERY, ApiServer, Object, eventually


class VersionRecorder:
    """Every version that the objects of one kind ever had, from one watch that is opened again when it breaks off."""

    def __init__(self, api: ApiServer, kind: str, namespace: str) -> None:
        self.versions: list[Object] = []
        self._api, self._path = api, api._path(kind, namespace)
        self._kind = {"apiVersion": GROUP, "kind": kind}
        self._socket: socket.socket | None = None
        self._since = ""
        self._newest = 0       # the revision up to which everything is written down
        self._gone: set[str] = set()  # the uids of those whose end is written down
        self._over = threading.Event()
        self._news = threading.Condition()
        self.written = 0       # how many versions and ends were written down so far
        self._thread = threading.Thread(target=self._follow, name=f"version recorder of {kind}", daemon=True)
        self._thread.start()

    def of(self, uid: str) -> list[Object]:
        """The versions of one object, oldest first."""
        return [one for one in list(self.versions) if one["metadata"].get("uid") == uid]

    def catch_up(self, uids: Iterable[str] = ()) -> None:
        """Return when all that happened by now is written down, also of these, of which nothing may be known yet: on a
        busy machine the watch is behind. Raises AssertionError.
        """
        tracked = set(uids)
        listing = self._api.http.get(self._path).json()
        now = int(listing["metadata"]["resourceVersion"])
        there = {one["metadata"]["uid"]: int(one["metadata"]["resourceVersion"]) for one in listing["items"]}

        def behind() -> list[str]:
            known = {one["metadata"]["uid"]: int(one["metadata"]["resourceVersion"]) for one in list(self.versions)}
            late = {uid for uid, revision in there.items() if known.get(uid, 0) < revision}
            over = {uid for uid in tracked | known.keys() if uid not in there and known.get(uid, 0) <= now}
            return sorted((late | over) - self._gone)

        eventually(behind, lambda found: not found, between=lambda: self.wait_for_news(self.written, LOOK_EVERY))

    def wait_for_news(self, written: int, seconds: float) -> None:
        """Return when more than so many versions and ends are written down, or after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self.written > written, seconds)

    def forget(self) -> None:
        """Keep only the newest version of what exists."""
        newest = {one["metadata"]["uid"]: one for one in self.versions}
        there = {one["metadata"]["uid"] for one in self._api.http.get(self._path).json()["items"]}
        self.versions = [one for uid, one in newest.items() if uid in there]

    def close(self) -> None:
        """End the watch."""
        self._over.set()
        with suppress(OSError):
            if self._socket is not None:  # not SSLSocket's own, after which the rest of what came is read undeciphered
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        self._thread.join(5)

    def _follow(self) -> None:
        """Open the watch again where it broke off, so that no version is missed."""
        while not self._over.is_set():
            with suppress(httpx.HTTPError, KeyError):
                self._since = self._since or self._listed()
                self._watch()
            self._over.wait(0.2)

    def _listed(self) -> str:
        """Record what exists, and every version since the newest that is known; the revision of the list."""
        listing = self._api.http.get(self._path).json()
        newest = int(listing["metadata"]["resourceVersion"])
        if self._newest:
            self._write_missed(newest)
        else:
            self._write_all(listing["items"])
        there = {one["metadata"]["uid"] for one in listing["items"]}
        self._gone.update(one["metadata"]["uid"] for one in self.versions if one["metadata"]["uid"] not in there)
        self._newest = newest
        return str(newest)

    def _write_missed(self, newest: int) -> None:
        """Record the versions that no watch told of, as after a restart of the API server: one list for each
        revision.
        """
        for revision in range(self._newest + 1, newest + 1):
            exactly = {"resourceVersion": str(revision), "resourceVersionMatch": "Exact"}
            items = self._api.http.get(self._path, params=exactly).json()["items"]
            self._write_all(one for one in items if one["metadata"]["resourceVersion"] == str(revision))

    def _write_all(self, items: Iterable[Object]) -> None:
        for obj in items:
            self._write("ADDED", {**self._kind, **obj})

    def _watch(self) -> None:
        """Record what happens, until the watch breaks off."""
        since = {"watch": "1", "resourceVersion": self._since, "allowWatchBookmarks": "true"}
        with self._api.http.stream("GET", self._path, params=since, timeout=None) as answer:
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for line in filter(None, answer.iter_lines()):
                event = json.loads(line)
                self._write(event["type"], event["object"])  # one by one, to be read meanwhile

    def _write(self, happened: str, obj: Object) -> None:
        if happened == "ERROR":
            self._since = ""
            return
        self._since = obj["metadata"]["resourceVersion"]
        self._newest = int(self._since)
        if happened == "BOOKMARK":
            return
        if not self.versions or self.versions[-1] != obj:
            self.versions.append(obj)
        if happened == "DELETED":
            self._gone.add(obj["metadata"]["uid"])
        with self._news:
            self.written += 1
            self._news.notify_all()
