"""What the load family runs on: many resources, an operator of its own, and a TCP proxy that can be cut."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.faults.runner.supervised_operator import ForkedOperator, Supervisor

from agentex_dev.kubeconfig import Server, write_kubeconfig
from agentex_testkit.api_server import Object, ready
from agentex_testkit.builders import a_build, a_deployment, a_manifest, an_account
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.judge.invariants import judge_one, strangers
from agentex_testkit.ledger import is_alive, owner_in

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

CALM = ("--resync=5s", "--reference-resync=3s", "--workers=32", "--log-level=info")
RATE = 50           # requestsPerSecond of the account; as many may come at once
STUCK = 120.0       # seconds after which somebody who is not Ready is stuck, whatever the machine
SERVER_ONE_IN = 5   # one of so many resources is a deployment


class TcpProxy:
    """A TCP proxy in front of the API server: `cut` ends and refuses connections, `mend` lets them through again."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.removeprefix("https://").partition(":")
        self._to, self._port = host, int(port)
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp_proxy", daemon=True)
        self._thread.start()
        self._server = self._done(asyncio.start_server(self._pass_on, "127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(self._end_all)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._server.close)
        time.sleep(0.1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _done(self, work: object) -> asyncio.Server:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    def _end_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            return writer.transport.abort()
        back, on = await asyncio.open_connection(self._to, self._port)
        self._open |= {writer, on}
        await asyncio.gather(_pour(reader, on), _pour(back, writer))
        self._open -= {writer, on}
        return None


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            await target.drain()
    target.close()


class LoadSetup:
    """`with LoadSetup(runner) as setup: setup.gather(250); setup.await_ready()`; its operator has no fault proxy."""

    def __init__(self, runner: Runner, *flags: str) -> None:
        self.runner, self._flags = runner, (*CALM, *flags)
        self.creates: Counter[str] = Counter()  # by name: how many are explained

    def __enter__(self) -> Self:
        runner, access = self.runner, self.runner.access
        self.world = runner.reset()
        runner.supervisor.stop()
        self.tcp_proxy = TcpProxy(access.url)
        path = runner.folder / "kubeconfig-load"
        config = write_kubeconfig(path, Server(self.tcp_proxy.url, access.ca), "operator", access.operator)
        self.operator = ForkedOperator(runner.prefork, config, (runner.namespace,), runner.folder, self._flags)
        self.world.operator = self.operator
        self.supervisor = Supervisor(self.operator)
        self.world.take_away("AgentexAccount", "default")  # of another endpoint: what is bound to it stays so for good
        self.open_account("default")
        self.supervisor.start()
        self.world.wait("AgentexAccount", "default")
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.world.api.list("AgentexAccount", self.world.namespace):
            self.world.take_away("AgentexAccount", one["metadata"]["name"])
        self.supervisor.stop()
        self.supervisor.end()
        self.operator.end()
        self.world.operator = self.runner.operator
        self.tcp_proxy.close()

    # --- acting -----------------------------------------------------------------------------------------------------

    def open_account(self, name: str, account: str = "acct-1", key_in: str = "agentex") -> None:
        """Apply an account whose endpoint is the simulator itself."""
        key, limits = {"name": key_in, "key": "api-key"}, {"requestsPerSecond": RATE}
        url = self.runner.simulator.url
        self.world.apply(an_account(url, name, accountID=account, apiKeySecretRef=key, limits=limits))

    def gather(self, count: int, prefix: str = "one") -> list[str]:
        """Apply so many resources, one in five a deployment of the build before it; their names."""
        names = [f"{prefix}-{number}" for number in range(count)]
        for number, name in enumerate(names):
            is_deployment = number % SERVER_ONE_IN == SERVER_ONE_IN - 1
            self.apply(deployed(name, names[number - 1]) if is_deployment else registered(name))
        return names

    def apply(self, obj: Object) -> None:
        """Apply the object, and expect one more create of it."""
        self.world.apply(obj)
        self.creates[obj["metadata"]["name"]] += 1

    # --- looking ----------------------------------------------------------------------------------------------------

    def resources(self) -> list[Object]:
        return list(self.world.resources())

    def unready(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.resources() if not ready(one)]

    def await_ready(self, seconds: float = STUCK, but: Sequence[str] = ()) -> Iterator[Finding]:
        """I13, I20: a finding if some resource is not Ready in time."""
        end = time.monotonic() + seconds
        while (left := set(self.unready()) - set(but)) and time.monotonic() < end:
            time.sleep(0.5)
        if left:
            yield Finding("I20", f"{len(left)} are not Ready after {seconds:.0f} s, as {sorted(left)[:3]}", Harm.STUCK)

    def quiet(self, seconds: float = 4.0, most: float = STUCK) -> Iterator[Finding]:
        """I11: wait until nothing is written for so many seconds; a finding if writes go on."""
        end, seen, since = time.monotonic() + most, self.written(), time.monotonic()
        while time.monotonic() < since + seconds:
            time.sleep(0.3)
            if (now := self.written()) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() > end:
                yield Finding("I11", f"writes go on: {self.world.last_written()}", Harm.STUCK)
                return

    def written(self) -> tuple[int, int]:
        """How many versions and how many remote mutations there were so far."""
        return self.world.amount_written, len([one for one in self.runner.simulator.ledger() if one["cause"] == "api"])

    def calls(self, since: int = 0) -> list[Object]:
        """The calls of the remote API."""
        return self.runner.simulator.calls(since)

    def memory(self) -> str:
        """The resident memory of the operator's process."""
        with suppress(OSError, AttributeError):
            lines = Path(f"/proc/{self.operator.part.pid}/status").read_text().splitlines()  # type: ignore[union-attr]
            found = dict(line.split(":", 1) for line in lines)
            return f"{int(found['VmRSS'].split()[0]) // 1024} MiB"
        return "?"

    # --- the end ----------------------------------------------------------------------------------------------------

    def judged(self) -> Iterator[Finding]:
        """What the judge finds; a create whose answer was spoilt by a fault may be repeated."""
        evidence = self.world.evidence()
        spoilt = {one["seq"] for one in self.calls() if one["faults"] or one["dropped"] or one["status"] is None}
        for one in self.world.tracked:
            found = self.world.get(one.kind, one.name)
            one.gone = found is None or found["metadata"]["uid"] != one.uid
            one.creates = max(one.creates, self.creates[one.name])
            case = evidence.case(one)
            yield from judge_one(replace(case, ambiguous=sum(it["call"] in spoilt for it in case.creates)))
        yield from strangers(evidence)

    def cleared(self, seconds: float = STUCK) -> Iterator[Finding]:
        """I21: delete everything; a finding if something stays, here or remotely."""
        end = time.monotonic() + seconds
        list(self.world.delete_all())
        while (left := self.resources()) and time.monotonic() < end:
            time.sleep(0.5)
        if left:
            yield Finding("I21", f"{len(left)} do not go, as {left[0]['metadata']['name']}", Harm.STUCK)
        state = self.runner.simulator.state()
        alive = [one["id"] for one in (*state["builds"], *state["deployments"]) if is_alive(one) and owner_in(one)]
        if alive:
            yield Finding("I21", f"everything is deleted, and {len(alive)} live on, as {alive[0]}", Harm.LEAKED)


def registered(name: str, tag: int = 1, **spec: Any) -> Object:
    """A build that registers an image; another tag makes another image."""
    return a_build(name, source={"image": {"url": f"elsewhere.invalid/{name}:{tag}"}}, **spec)


def deployed(name: str, build: str, description: str = "answers") -> Object:
    """A deployment of the build of that name."""
    obj = a_deployment(build, manifest={"inline": a_manifest(build, description)})
    return {**obj, "metadata": {"name": name}}


def busiest_second(calls: Sequence[Object]) -> int:
    """The largest number of calls within one second."""
    times = sorted(one["elapsed"] for one in calls)
    first, most = 0, 0
    for last, moment in enumerate(times):
        while moment - times[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most
