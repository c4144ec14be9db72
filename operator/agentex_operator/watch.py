"""kopf's only door: its watch events go into the engine, and nothing else of it is used.

What kopf would do beside (diffs, annotations, events, finalizers, peering) is switched off here, one line each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
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

log = logs.logger(__name__)

LINGER = 2.0  # seconds in which kopf, told to end, must have done so

Connect = Callable[[], Awaitable[Access]]
Drain = Callable[[], Awaitable[None]]


class Pulse:
    """When the watch last gave a sign of life."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: float | None = None

    def beat(self) -> None:
        """Now."""
        self._last = self._clock.monotonic()

    def age(self) -> timedelta | None:
        """Since the last event, or the start where there was none; None before the watch started."""
        return None if self._last is None else timedelta(seconds=self._clock.monotonic() - self._last)


class Registry(kopf.OperatorRegistry):
    """What kopf calls; and, where it could not log in, why and whom to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: ExternalError | None = None
        self.given: Access | None = None
        self.given_again = False  # kopf asked anew, as after a 401, and there were no other credentials
        self.stop = asyncio.Event()
        self.over = asyncio.Event()  # kopf has nothing left to do but to end

    def give_up(self, error: ExternalError) -> None:
        """End the watch: without credentials kopf itself would live on, blind."""
        self.failure = error
        self.end()

    def end(self) -> None:
        """Tell kopf to end, which else waits five seconds for its own task that waits for this flag."""
        self.stop.set()
        self.over.set()


class NoDiffs(kopf.DiffBaseStorage):
    """Keeps no copy of any object: nobody here asks what changed."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Write no annotation."""


def build_registry(
    engine: Engine, connect: Connect, pulse: Pulse, *, drain: Drain, kinds: tuple[Kind, ...] = KINDS
) -> Registry:
    """Every event of every kind goes to `engine.observe`; `drain` is awaited after the last one.

    `connect` is asked for credentials at the start and whenever the API server answers 401.
    """
    registry = Registry()
    _register_login(registry, connect)
    _register_life(registry, pulse, drain)
    for kind in kinds:
        _register_kind(registry, engine, pulse, kind)
    return registry


async def watch(registry: Registry, settings: Settings, stop: asyncio.Event) -> None:
    """Watch until `stop` is set or SIGTERM comes; raises an ExternalError where that is impossible: end the process.

    Tasks that shall outlive the watch must have been started before.
    """
    registry.stop = stop
    error = await _ended(kopf.operator(
        registry=registry,
        settings=quiet_settings(),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        stop_flag=stop,
    ), registry.over)
    if error:
        again = "; the API server may refuse the credentials: there were no others" if registry.given_again else ""
        raise registry.failure or Unavailable(f"the watch ended: {str(error) or repr(error)}{again}") from error


async def _ended(work: Coroutine[Any, Any, None], over: asyncio.Event) -> BaseException | None:
    """What kopf ended with. One of its watchers can survive being cancelled, and kopf waits for that one for ever."""
    watching, last = asyncio.ensure_future(work), asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait((watching, last), return_when=asyncio.FIRST_COMPLETED)
        while not (await asyncio.wait((watching,), timeout=LINGER))[0]:
            watching.cancel()
    finally:
        last.cancel()
        watching.cancel()
    return TimeoutError("kopf did not end by itself") if watching.cancelled() else watching.exception()


def _register_kind(registry: Registry, engine: Engine, pulse: Pulse, kind: Kind) -> None:
    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        pulse.beat()
        engine.observe(kind.kind, event["type"], event["object"])

    kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"observe-{kind.plural}")(seen)


def _register_login(registry: Registry, connect: Connect) -> None:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        try:
            access = await connect()
            registry.given, registry.given_again = access, access == registry.given
            return connection_of(access)
        except ExternalError as error:
            registry.give_up(error)
            raise kopf.PermanentError(error.message) from error

    kopf.on.login(registry=registry, id="login")(login)


def _register_life(registry: Registry, pulse: Pulse, drain: Drain) -> None:
    async def started(**_: Any) -> None:
        pulse.beat()

    async def stopped(**_: Any) -> None:
        log.info("watch stopped, draining")
        await drain()
        registry.end()

    kopf.on.startup(registry=registry, id="started")(started)
    kopf.on.cleanup(registry=registry, id="stopped")(stopped)


def quiet_settings() -> kopf.OperatorSettings:
    """kopf as a reflector: it writes nothing, and notices a dead connection within minutes."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = "kopf.agentex.scale.com/unused"  # kopf strips its own: it must not be ours
    settings.persistence.diffbase_storage = NoDiffs()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.2
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 5
    return settings


def connection_of(access: Access) -> kopf.ConnectionInfo:
    """Our credentials, in kopf's words."""
    scheme, _, token = (access.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_path,
        certificate_path=access.certificate_path,
        private_key_path=access.key_path,
        scheme=scheme.title() or None,
        token=token.strip() or None,
        proxy_url=access.proxy,
        trust_env=True,
    )
