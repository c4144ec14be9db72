"""The only module that uses kopf: its watch events go into the engine.

kopf's other features (diffs, annotations, Events, finalizers, peering) are switched off in `quiet_settings`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import kopf

from agentex_operator import logs
from agentex_operator.core.errors import ExternalError, Unavailable
from agentex_operator.kube.access import Access
from agentex_operator.kube.kinds import KINDS, Kind

if TYPE_CHECKING:
    from agentex_operator.clock import Clock
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.settings import Settings
    from agentex_operator.termination import Termination

log = logs.logger(__name__)

IDENTITY: Any = "agentex-operator"  # kopf would ask for the name of the user, and a user id in a pod has no name
KOPF_STOP_TIMEOUT = 2.0  # seconds that kopf has to end by itself after it was told to

Connect = Callable[[], Awaitable[Access]]
Drain = Callable[[], Awaitable[None]]


class WatchHealth:
    """When the watch was last known to work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: float | None = None

    def record_activity(self) -> None:
        """Note that the watch started or delivered an event now."""
        self._last = self._clock.monotonic()

    def age(self) -> timedelta | None:
        """The time since the last event, or since the start if there was none; None before the watch started."""
        return None if self._last is None else timedelta(seconds=self._clock.monotonic() - self._last)


class Registry(kopf.OperatorRegistry):
    """The handlers that kopf calls, and what must be known after kopf has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: ExternalError | None = None  # why kopf could not log in
        self.credentials: Access | None = None  # what kopf was given last
        self.credentials_repeated = False  # kopf asked anew, as after a 401, and was given the same ones
        self.stop = asyncio.Event()  # kopf's own stop flag
        self.ending = asyncio.Event()  # kopf was told to end: it must do so within KOPF_STOP_TIMEOUT

    def fail(self, error: ExternalError) -> None:
        """End the watch because of this error: without credentials kopf would go on and see no events."""
        self.failure = error
        self.end()

    def end(self) -> None:
        """Tell kopf to end. Without the flag, kopf would wait five seconds for its own task that waits for the flag."""
        self.stop.set()
        self.ending.set()


class NoDiffs(kopf.DiffBaseStorage):
    """Keeps no copy of any object: the engine does not need to know what changed."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return an empty essence: there is nothing to compare."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return None: nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Do nothing: no annotation is written."""


def build_registry(
    engine: Engine, connect: Connect, health: WatchHealth, *, drain: Drain, kinds: tuple[Kind, ...] = KINDS
) -> Registry:
    """The handlers of the watch: every event of every kind goes to `engine.observe`; `drain` is awaited after the last.

    `connect` is awaited for credentials at the start and whenever the API server answers 401.
    """
    registry = Registry()
    _register_login(registry, connect)
    _register_life(registry, health, drain)
    for kind in kinds:
        _register_kind(registry, engine, health, kind)
    return registry


async def watch(registry: Registry, settings: Settings, termination: Termination) -> None:
    """Watch until the end is requested. Raises an ExternalError if the watch ends otherwise: the process must end.

    kopf cancels tasks that were started during the watch; start tasks that must outlive the watch before.
    """
    stopping = asyncio.create_task(_stop_at(termination, registry))
    try:
        error = await _run_to_end(_kopf(registry, settings, termination), registry.ending)
    finally:
        stopping.cancel()
    if termination.requested.is_set():
        return  # kopf retries requests although it was told to end: this is no error
    if registry.failure:
        raise registry.failure from error
    raise Unavailable(f"the watch ended: {_reason(error, registry)}") from error


async def _stop_at(termination: Termination, registry: Registry) -> None:
    await termination.requested.wait()
    registry.stop.set()


async def _kopf(registry: Registry, settings: Settings, termination: Termination) -> None:
    """Do what kopf.operator does, but leave the signals to `termination`: kopf hears none before and after its run."""
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=quiet_settings(),
        identity=IDENTITY,
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        stop_flag=registry.stop,
    )
    termination.listen()
    await kopf.run_tasks(tasks, ignored=others)


@contextlib.asynccontextmanager
async def ending_the_watch(registry: Registry, check: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `check` beside the watch; an ExternalError from `check` ends the watch. Enter before the watch starts."""

    async def run() -> None:
        try:
            await check
        except ExternalError as error:
            registry.fail(error)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()


def _reason(error: BaseException | None, registry: Registry) -> str:
    hint = "; the API server may refuse the credentials: there were no others" if registry.credentials_repeated else ""
    return ("kopf ended by itself" if error is None else str(error) or repr(error)) + hint


async def _run_to_end(work: Coroutine[Any, Any, None], ending: asyncio.Event) -> BaseException | None:
    """Run kopf; the exception that it ended with, or None.

    One of kopf's watchers can survive its cancellation. kopf would wait for it for ever, so kopf itself is cancelled.
    """
    watching, last = asyncio.ensure_future(work), asyncio.ensure_future(ending.wait())
    try:
        await asyncio.wait((watching, last), return_when=asyncio.FIRST_COMPLETED)
        while not (await asyncio.wait((watching,), timeout=KOPF_STOP_TIMEOUT))[0]:
            watching.cancel()
    finally:
        last.cancel()
        watching.cancel()
    return TimeoutError("kopf did not end by itself") if watching.cancelled() else watching.exception()


def _register_kind(registry: Registry, engine: Engine, health: WatchHealth, kind: Kind) -> None:
    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        health.record_activity()
        engine.observe(kind.kind, event["type"], event["object"])

    kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"observe-{kind.plural}")(seen)


def _register_login(registry: Registry, connect: Connect) -> None:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        try:
            access = await connect()
            registry.credentials_repeated = access == registry.credentials
            registry.credentials = access
            return connection_of(access)
        except ExternalError as error:
            registry.fail(error)
            raise kopf.PermanentError(error.message) from error

    kopf.on.login(registry=registry, id="login")(login)


def _register_life(registry: Registry, health: WatchHealth, drain: Drain) -> None:
    async def started(**_: Any) -> None:
        health.record_activity()

    async def stopped(**_: Any) -> None:
        log.info("watch stopped, draining")
        await drain()
        registry.end()

    kopf.on.startup(registry=registry, id="started")(started)
    kopf.on.cleanup(registry=registry, id="stopped")(stopped)


def quiet_settings() -> kopf.OperatorSettings:
    """Settings that make kopf a reflector: it writes nothing, and notices a dead connection within minutes."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = "kopf.agentex.scale.com/unused"  # kopf removes this finalizer: it must not be ours
    settings.persistence.diffbase_storage = NoDiffs()
    settings.posting.enabled = False  # no Events
    settings.scanning.disabled = True  # no watch of CRDs and namespaces
    settings.queueing.idle_timeout = 0.2  # seconds until kopf ends its worker of an object without events
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 5
    return settings


def connection_of(access: Access) -> kopf.ConnectionInfo:
    """Our credentials, as kopf's type."""
    scheme, _, token = (access.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_path,
        certificate_path=access.certificate_path,
        private_key_path=access.key_path,
        scheme=scheme.title() or None,
        token=token.strip() or None,
        proxy_url=access.proxy,
        trust_env=False,  # a proxy of the environment is not meant for the API server
    )
