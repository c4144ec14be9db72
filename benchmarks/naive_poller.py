"""A naive operator, for comparison with ours: for each AgentBuild, create the build, then GET it every poll interval.

    python -m benchmarks.naive_poller --kubeconfig FILE --namespace load

It has what a small operator has: a list and a watch, a queue with a bounded pool of workers that requeues each resource
after pollInterval while its build runs and after --resync at rest, the rate limit of the account, and a status patch
whenever the remote status has changed. It has no finalizer, no intent before a create and no Events, and it ignores
changes and deletions of a resource. So its costs are a lower bound for an operator of this design.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GROUP = "/apis/agentex.scale.com/v1alpha1"
MERGE = {"Content-Type": "application/merge-patch+json"}
RUNNING = frozenset({"queued", "running"})
NAME_TAKEN = 409
RETRY = 5.0  # seconds after a failed pass
ACCOUNT_REREAD = 5.0  # seconds


class Pace:
    """A rate limit: `turn` returns at most `rate` times a second."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._interval
        await asyncio.sleep(at - now)


class Cluster:
    """The API server, as far as the naive operator uses it, in one namespace."""

    def __init__(self, http: httpx.AsyncClient, namespace: str) -> None:
        self._http = http
        self._core = f"/api/v1/namespaces/{namespace}"
        self._ours = f"{GROUP}/namespaces/{namespace}"

    @classmethod
    def of(cls, kubeconfig: Path, namespace: str, connections: int) -> Cluster:
        """The cluster of a kubeconfig with one server and one token."""
        config = yaml.safe_load(kubeconfig.read_text())
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trust = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
        limits = httpx.Limits(max_keepalive_connections=connections)
        headers = {"Authorization": f"Bearer {user['token']}"}
        return cls(httpx.AsyncClient(base_url=server["server"], verify=trust, headers=headers, trust_env=False,
                                     timeout=30, limits=limits), namespace)

    async def account(self) -> dict[str, Any]:
        """The spec of the account `default`."""
        return dict((await self._get(f"{self._ours}/agentexaccounts/default"))["spec"])

    async def secret(self, name: str, key: str) -> str:
        """The value of a key of a Secret."""
        return base64.b64decode((await self._get(f"{self._core}/secrets/{name}"))["data"][key]).decode()

    async def archive(self, name: str, key: str) -> bytes:
        """The build context in a ConfigMap."""
        return base64.b64decode((await self._get(f"{self._core}/configmaps/{name}"))["binaryData"][key])

    async def save_status(self, name: str, status: dict[str, Any]) -> None:
        """Merge into the status of an AgentBuild."""
        path = f"{self._ours}/agentbuilds/{name}/status"
        (await self._http.patch(path, headers=MERGE, content=json.dumps({"status": status}))).raise_for_status()

    async def builds(self) -> AsyncIterator[dict[str, Any]]:
        """Every AgentBuild, then each that is created; ends when the API server ends the watch."""
        listed = await self._get(f"{self._ours}/agentbuilds")
        for one in listed["items"]:
            yield one
        params = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        path = f"{self._ours}/agentbuilds"
        async with self._http.stream("GET", path, params=params, timeout=None) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ADDED":
                    yield event["object"]

    async def _get(self, path: str) -> dict[str, Any]:
        return dict((await self._http.get(path)).raise_for_status().json())


class Remote:
    """The remote API, as far as the naive operator uses it."""

    def __init__(self, http: httpx.AsyncClient, pace: Pace) -> None:
        self._http = http
        self._pace = pace
        self._agents: dict[str, str] = {}  # name -> id
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, build_id: str) -> dict[str, Any]:
        """GET the build."""
        await self._pace.turn()
        return dict((await self._http.get(f"/v5/builds/{build_id}")).raise_for_status().json())

    async def create(self, agent: str, image: str, tag: str, archive: bytes) -> dict[str, Any]:
        """POST a build; the first one of an agent creates the agent, and the others wait for it."""
        async with self._locks.setdefault(agent, asyncio.Lock()) if agent not in self._agents \
                else contextlib.nullcontext():
            record = await self._post(agent, image, tag, archive)
            self._agents[agent] = record["agent_id"]
            return record

    async def _post(self, agent: str, image: str, tag: str, archive: bytes) -> dict[str, Any]:
        known = self._agents.get(agent)
        fields = {"image_name": image, "image_tag": tag, **({"agent_id": known} if known else {"agent_name": agent})}
        await self._pace.turn()
        answer = await self._http.post("/v5/builds", data=fields, files={"context_archive": archive})
        if answer.status_code == NAME_TAKEN and known is None:
            self._agents[agent] = await self._agent_id(agent)
            return await self._post(agent, image, tag, archive)
        return dict(answer.raise_for_status().json())

    async def _agent_id(self, agent: str) -> str:
        await self._pace.turn()
        answer = await self._http.get("/v5/builds", params={"agent_name": agent, "limit": 1})
        return str(answer.raise_for_status().json()["items"][0]["agent_id"])


@dataclass(slots=True)
class Build:
    """What the operator remembers of an AgentBuild; `said`: the remote status that its status has."""

    uid: str
    generation: int
    spec: dict[str, Any]
    id: str | None
    said: str | None

    @staticmethod
    def of(obj: dict[str, Any]) -> Build:
        """The AgentBuild as the API server has it."""
        status, meta = obj.get("status") or {}, obj["metadata"]
        return Build(meta["uid"], meta["generation"], obj["spec"], status.get("buildID"), status.get("remoteStatus"))


class NaivePoller:
    """The operator: one queue, a bounded pool of workers, and one GET per resource and poll."""

    def __init__(self, cluster: Cluster, remote: Remote, poll_interval: float, resync: float) -> None:
        self._cluster = cluster
        self._remote = remote
        self._poll_interval = poll_interval
        self._resync = resync
        self._builds: dict[str, Build] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    async def run(self, workers: int) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._reread_account())
            for _ in range(workers):
                group.create_task(self._work())

    async def _watch(self) -> None:
        while True:
            async for obj in self._cluster.builds():
                name = obj["metadata"]["name"]
                if name not in self._builds:
                    self._builds[name] = Build.of(obj)
                    self._queue.put_nowait(name)

    async def _reread_account(self) -> None:
        while True:
            await asyncio.sleep(ACCOUNT_REREAD)
            with contextlib.suppress(httpx.HTTPError):
                self._poll_interval = seconds((await self._cluster.account())["pollInterval"])

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            name = await self._queue.get()
            try:
                again = await self._reconcile(name)
            except httpx.HTTPError as error:
                print(f"{name}: {error!r}", flush=True)
                again = RETRY
            loop.call_later(again, self._queue.put_nowait, name)

    async def _reconcile(self, name: str) -> float:
        """One pass; returns the seconds until the next one."""
        build = self._builds[name]
        record = await (self._create(build) if build.id is None else self._remote.get(build.id))
        build.id = record["id"]
        if record["build_status"] != build.said:
            await self._cluster.save_status(name, status_of(build, record))
            build.said = record["build_status"]
        return self._poll_interval if build.said in RUNNING else self._resync

    async def _create(self, build: Build) -> dict[str, Any]:
        source = build.spec["source"]["configMapKeyRef"]
        archive = await self._cluster.archive(source["name"], source["key"])
        return await self._remote.create(build.spec["agentName"], build.spec["image"]["name"], build.uid, archive)


def status_of(build: Build, record: dict[str, Any]) -> dict[str, Any]:
    """The status for this remote record."""
    word = record["build_status"]
    ready = {"success": "True"}.get(word, "Unknown" if word in RUNNING else "False")
    condition = {"type": "Ready", "status": ready, "reason": word.capitalize(), "message": f"The build is {word}.",
                 "observedGeneration": build.generation,
                 "lastTransitionTime": record["build_end_time"] or record["created_at"]}
    return {"observedGeneration": build.generation, "buildID": record["id"], "remoteStatus": word,
            "conditions": [condition]}


def seconds(duration: str) -> float:
    """The seconds of a duration such as 5s."""
    return float(duration.removesuffix("s"))


async def operate(kubeconfig: Path, namespace: str, workers: int, resync: float) -> None:
    """Run the naive operator for the account `default` of the namespace, until cancelled."""
    cluster = Cluster.of(kubeconfig, namespace, workers)
    account = await cluster.account()
    key = account["apiKeySecretRef"]
    secret = await cluster.secret(key["name"], key["key"])
    headers = {"x-api-key": secret, "x-selected-account-id": account["accountID"]}
    http = httpx.AsyncClient(base_url=account["endpoint"], headers=headers, trust_env=False, timeout=60,
                             limits=httpx.Limits(max_keepalive_connections=workers))
    remote = Remote(http, Pace(account["limits"]["requestsPerSecond"]))
    await NaivePoller(cluster, remote, seconds(account["pollInterval"]), resync).run(workers)


def main() -> None:
    """Read the command line, and run until SIGTERM."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--kubeconfig", type=Path, required=True)
    flags.add_argument("--namespace", required=True)
    flags.add_argument("--workers", type=int, default=32, help="as of the operator")
    flags.add_argument("--resync", type=float, default=300, help="seconds between two looks at a resource at rest")
    told = flags.parse_args()
    asyncio.run(operate(told.kubeconfig, told.namespace, told.workers, told.resync))


if __name__ == "__main__":
    main()
