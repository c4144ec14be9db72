"""The API server as its administrator, in plain JSON: what the tests apply, read, watch and delete with."""

from __future__ import annotations

import json
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import httpx

Object = dict[str, Any]

GROUP = "agentex.scale.com/v1alpha1"
PLURALS = {
    "AgentBuild": "agentbuilds",
    "AgentDeployment": "agentdeployments",
    "AgentexAccount": "agentexaccounts",
    "ClusterAgentexAccount": "clusteragentexaccounts",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Namespace": "namespaces",
    "Event": "events",
}
ROOTS = {"ConfigMap": "/api/v1", "Secret": "/api/v1", "Namespace": "/api/v1", "Event": "/apis/events.k8s.io/v1"}
CLUSTER_SCOPED = ("ClusterAgentexAccount", "Namespace")
OURS_ARE_SERVED = tuple(f"/apis/{GROUP}/{plural}" for kind, plural in PLURALS.items() if kind not in ROOTS)
PATIENCE = 60.0
LOOK_EVERY = 0.1


class RefusedError(Exception):
    """The API server said no; the message is its own, so that a test can match it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client(httpx.Client):
    """What one thread asks with; closed when that thread ends."""

    def __del__(self) -> None:
        self.close()


class ApiServer:
    """Applies as a user would (server-side, as the field manager `tests`); not found is None. For any thread."""

    def __init__(self, url: str, ca: bytes, token: str, client: type[Client] = Client) -> None:
        trust = ssl.create_default_context(cadata=ca.decode())
        identity = {"Authorization": f"Bearer {token}"}
        self._client: Callable[[], Client] = lambda: client(
            base_url=url, verify=trust, headers=identity, trust_env=False, timeout=30)
        self._own = threading.local()
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()

    @property
    def http(self) -> Client:
        """The client of this thread alone: where threads share one, its pool may close a connection that it has just
        given to another of them (encode/httpcore#1110).
        """
        if not hasattr(self._own, "client"):
            self._own.client = self._client()
            self._clients.add(self._own.client)
        found: Client = self._own.client
        return found

    def apply(self, obj: Object, namespace: str | None = None) -> Object:
        """Create the object or bring it to this shape; raises RefusedError."""
        path = self._path(obj["kind"], namespace, obj["metadata"]["name"])
        how = {"fieldManager": "tests", "force": "true"}
        kind = {"Content-Type": "application/apply-patch+yaml"}
        return self._asked(self.http.patch(path, params=how, headers=kind, content=json.dumps(obj)))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None."""
        answer = self.http.get(self._path(kind, namespace, name))
        return None if answer.status_code == 404 else self._asked(answer)

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All objects of the kind, there or everywhere."""
        return list(self._asked(self.http.get(self._path(kind, namespace)))["items"])

    def patch(self, kind: str, name: str, body: Mapping[str, Any], namespace: str | None = None,
              subresource: str = "") -> Object:
        """Merge the body into the object, or into a subresource of it (`/status`); raises RefusedError."""
        path = self._path(kind, namespace, name) + subresource
        kind_of_patch = {"Content-Type": "application/merge-patch+json"}
        return self._asked(self.http.patch(path, headers=kind_of_patch, content=json.dumps(body)))

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Ask for the deletion; of what is gone already too."""
        answer = self.http.delete(self._path(kind, namespace, name))
        if answer.status_code != 404:
            self._asked(answer)

    def close(self) -> None:
        """Close the connections of every thread."""
        for client in list(self._clients):
            client.close()

    @staticmethod
    def _path(kind: str, namespace: str | None, name: str = "") -> str:
        within = f"/namespaces/{namespace}" if namespace and kind not in CLUSTER_SCOPED else ""
        path = f"{ROOTS.get(kind, f'/apis/{GROUP}')}{within}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    @staticmethod
    def _asked(answer: httpx.Response) -> Object:
        body: Object = answer.json()
        if answer.is_error:
            raise RefusedError(answer.status_code, body.get("message", answer.text))
        return body


def pause() -> None:
    """Sleep until it is time to look again."""
    time.sleep(LOOK_EVERY)


def eventually(look: Callable[[], Any], wanted: Callable[[Any], Any] = bool, seconds: float = PATIENCE,
               between: Callable[[], object] = pause) -> Any:
    """What `look` gives as soon as it is as wanted; fails, showing what was there instead. `between`: two looks."""
    end = time.monotonic() + seconds
    while not wanted(seen := look()):
        assert time.monotonic() < end, f"not as wanted after {seconds:.0f} s:\n{_shown(seen)}"
        between()
    return seen


def _shown(seen: Any) -> str:
    """What was seen, without who wrote it."""
    if isinstance(seen, dict):
        seen = {**seen, "metadata": {**seen.get("metadata", {}), "managedFields": ...}}
    return json.dumps(seen, indent=1, default=str)


# --- what one can wait for ------------------------------------------------------------------------------------------


def condition(obj: Object | None, kind: str) -> Object:
    """The condition of that type; empty where there is none."""
    said = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((one for one in said if one["type"] == kind), {})


def says(kind: str, status: str, reason: str | None = None) -> Callable[[Object | None], bool]:
    """Whether a condition of the object's present generation is so."""

    def holds(obj: Object | None) -> bool:
        found = condition(obj, kind)
        fresh = obj is not None and found.get("observedGeneration") == obj["metadata"]["generation"]
        return fresh and found["status"] == status and reason in (None, found["reason"])

    return holds


def ready(obj: Object | None) -> TypeGuard[Object]:
    """Whether it is Ready in its present generation."""
    return says("Ready", "True")(obj)


def stalled(reason: str) -> Callable[[Object | None], bool]:
    """Whether it gave up for this reason."""
    return says("Stalled", "True", reason)


def handled(request: str) -> Callable[[Object | None], bool]:
    """Whether the status names this value of agentex.scale.com/reconcile-requested-at as the last one handled."""
    return lambda obj: obj is not None and obj["status"].get("lastHandledReconcileRequestedAt") == request


def remembered(status: Object) -> Object:
    """What the operator remembers in a status for itself; empty where it remembers nothing."""
    found: Object = status.get("operator") or {}
    return found


def gone(obj: Object | None) -> bool:
    """Whether there is no such object any more."""
    return obj is None
