"""The objects that a benchmark applies, and how: in chunks, by server-side apply, some at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from agentex_testkit.api_server import GROUP, ApiServer, Object, ready
from agentex_testkit.builders import a_build, a_context, a_secret, an_account

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMESPACE = "load"
CHUNK = 500  # objects in a chunk
CONCURRENCY = 8  # requests at the same time
PAGE = 500  # objects in a page of a list


def prepare(api: ApiServer, address: str, rate: int, agents: int) -> None:
    """Have the namespace, the account, and a ConfigMap for each agent."""
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    api.apply(a_secret(), NAMESPACE)
    set_account(api, address, rate, poll_interval=5)
    apply(api, [a_context(f"agent-{number}") for number in range(agents)])


def set_account(api: ApiServer, address: str, rate: int, poll_interval: int) -> None:
    """Have the account with this rate (calls per second) and pollInterval (seconds)."""
    limits = {"requestsPerSecond": rate}
    api.apply(an_account(address, pollInterval=f"{poll_interval}s", limits=limits), NAMESPACE)


def account_is_ready(api: ApiServer) -> bool:
    """Whether the account is Ready."""
    return ready(api.get("AgentexAccount", "default", NAMESPACE))


def builds(count: int, agents: int, prefix: str = "build") -> list[Object]:
    """So many AgentBuilds of so many agents; those of one agent share a ConfigMap."""
    return [{**a_build(f"agent-{number % agents}"), "metadata": {"name": f"{prefix}-{number}"}}
            for number in range(count)]


def names_of(objects: Sequence[Object]) -> list[str]:
    """Their names."""
    return [obj["metadata"]["name"] for obj in objects]


def apply(api: ApiServer, objects: Sequence[Object]) -> None:
    """Apply them, chunk by chunk."""
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for chunk in chunks(objects, CHUNK):
            list(pool.map(lambda obj: api.apply(obj, NAMESPACE), chunk))


def apply_slowly(api: ApiServer, objects: Sequence[Object], per_second: float) -> None:
    """Apply them one by one, at most so many per second."""
    began = time.monotonic()
    for number, obj in enumerate(objects):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        api.apply(obj, NAMESPACE)


def chunks(objects: Sequence[Object], size: int) -> Iterator[Sequence[Object]]:
    """The objects, at most `size` at a time."""
    for first in range(0, len(objects), size):
        yield objects[first:first + size]


def build_ids(api: ApiServer) -> dict[str, str]:
    """By name of the AgentBuild, the id of its remote build, for those that are Ready; read page by page."""
    found: dict[str, str] = {}
    path, further = f"/apis/{GROUP}/namespaces/{NAMESPACE}/agentbuilds", ""
    while True:
        page = api.http.get(path, params={"limit": PAGE, "continue": further}).raise_for_status().json()
        found |= {one["metadata"]["name"]: one["status"]["buildID"] for one in page["items"] if ready(one)}
        further = page["metadata"].get("continue", "")
        if not further:
            return found
