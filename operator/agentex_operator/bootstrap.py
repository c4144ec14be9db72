"""The composition root: makes clients from the settings, reconcilers from the clients, and runs them on the watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from agentex_operator import logs
from agentex_operator.agentex.inventory import ListSizes
from agentex_operator.agentex.keys import ApiKey
from agentex_operator.agentex.session import AccountAddress, AccountSession
from agentex_operator.clock import Clock
from agentex_operator.core import endpoints
from agentex_operator.core.endpoints import EndpointRules
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.plan import Policy
from agentex_operator.health import Health, first_passes_have_begun, has_started, no_pass_is_stuck
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.events import Recorder
from agentex_operator.kube.kinds import AGENTEX_ACCOUNT, CLUSTER_AGENTEX_ACCOUNT, Kind
from agentex_operator.kube.secret_reads import CheckedObjects
from agentex_operator.network.connections import Routes
from agentex_operator.network.proxies import Proxies
from agentex_operator.network.trust import Trust
from agentex_operator.reconcile import references
from agentex_operator.reconcile.account import AccountReconciler
from agentex_operator.reconcile.account_holders import DeletedAccounts
from agentex_operator.reconcile.accounts import AccountEntry, Accounts
from agentex_operator.reconcile.build import AGENT_BUILDS
from agentex_operator.reconcile.claims import AccountClaims
from agentex_operator.reconcile.crd_check import CrdCheck, KindsChangedError
from agentex_operator.reconcile.deployment import AGENT_DEPLOYMENTS
from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.holders import Holders
from agentex_operator.reconcile.registration import Registration, RemoteReconciler
from agentex_operator.reconcile.runtime import Runtime
from agentex_operator.reconcile.storage_check import StorageCheck
from agentex_operator.reconcile.undone_writes import UndoneWrites
from agentex_operator.reconcile.urgency import Urgency
from agentex_operator.reconcile.watched_references import WatchedReferences
from agentex_operator.sources import Sources
from agentex_operator.sources.registry import BUILT_IN
from agentex_operator.sources.registry import Kinds as SourceKinds
from agentex_operator.termination import Termination
from agentex_operator.watch import Drain, WatchHealth, build_registry, ending_the_watch, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentex_operator.agentex.inventory import Claims
    from agentex_operator.agentex.remote_kind import RemoteKind
    from agentex_operator.settings import Settings

log = logs.logger(__name__)

ACCOUNT_KINDS = (AGENTEX_ACCOUNT, CLUSTER_AGENTEX_ACCOUNT)
EVENT_DRAIN_TIMEOUT = timedelta(seconds=2)
LEFT_BEHIND = timedelta(seconds=1)  # from one cancellation of a task that kopf left behind to the next


@dataclass(frozen=True, slots=True)
class Registry:
    """The kinds that the operator knows: `resources` with a remote counterpart, and `sources` of build contexts.

    `list_sizes`: how the remote objects of each kind are listed.
    """

    resources: tuple[Registration[Any], ...] = (AGENT_BUILDS, AGENT_DEPLOYMENTS)
    sources: SourceKinds = BUILT_IN
    list_sizes: ListSizes = field(default_factory=ListSizes)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every kind of custom resource, accounts first."""
        return (*ACCOUNT_KINDS, *(one.kind for one in self.resources))


BUILT_IN_KINDS = Registry()


def run(settings: Settings) -> int:
    """Run the operator until SIGTERM; returns the exit code of the process. Raises an ExternalError if it must end."""
    redactor = logs.Redactor()
    logs.configure(form=settings.log_format, level=settings.log_level, redactor=redactor)
    asyncio.run(_serve_until_told(settings, redactor))
    return 0


async def _serve_until_told(settings: Settings, redactor: logs.Redactor) -> None:
    termination = Termination()
    termination.listen()
    while not termination.requested.is_set():
        await serve(settings, redactor, termination)
        await _end_other_tasks()


async def _end_other_tasks() -> None:
    """End the tasks that kopf leaves behind; some survive one cancellation."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=LEFT_BEHIND.total_seconds())


async def serve(settings: Settings, redactor: logs.Redactor, termination: Termination) -> None:
    """Connect, start everything, and watch until the end is requested or CRDs vanish or come; at the end, drain.

    Raises an ExternalError if the watch fails.
    """
    async with contextlib.AsyncExitStack() as stack:
        started = await termination.unless_requested(_start(stack, settings, redactor))
        if started is None:
            return
        cluster, clock, running = started
        try:
            await _watch(settings, cluster, clock, running, termination)
        except ExternalError as error:
            changed = await _kinds_change(running.crds, error)
            if changed is None:
                raise
            log.warning(changed)


async def _start(
    stack: contextlib.AsyncExitStack, settings: Settings, redactor: logs.Redactor
) -> tuple[KubeCluster, Clock, Running]:
    clock = Clock()
    cluster = await stack.enter_async_context(contextlib.aclosing(await KubeCluster.connect(settings, clock)))
    return cluster, clock, await stack.enter_async_context(operating(settings, redactor, cluster, clock))


async def _watch(settings: Settings, cluster: KubeCluster, clock: Clock, running: Running,
                 termination: Termination) -> None:
    kinds = running.crds.served
    registry = build_registry(running.engine, cluster.access, running.watch_health, drain=running.shutdown, kinds=kinds)
    namespace = next(iter(settings.watch_namespaces), None)
    storage = StorageCheck(running.engine, cluster, clock, kinds, namespace)
    async with ending_the_watch(registry, storage.run()), ending_the_watch(registry, running.crds.run()):
        await watch(registry, settings, termination)


async def _kinds_change(crds: CrdCheck, error: ExternalError) -> str | None:
    """The change of the served kinds that ended the watch, in words; None if something else has ended it."""
    try:
        await crds.require_same_kinds()
    except ExternalError as other:
        error = other if isinstance(other, KindsChangedError) else error
    return error.message if isinstance(error, KindsChangedError) else None


@dataclass(frozen=True, slots=True)
class Running:
    """The operator without the watch: `shutdown` ends it, `watch_health` is to be told of the watch to come."""

    engine: Engine
    watch_health: WatchHealth
    shutdown: Drain
    crds: CrdCheck


@contextlib.asynccontextmanager
async def operating(settings: Settings, redactor: logs.Redactor, cluster: KubeCluster, clock: Clock,
                    registry: Registry = BUILT_IN_KINDS) -> AsyncIterator[Running]:
    """Start the operator without the watch.

    Enter before the watch starts: kopf cancels the tasks that were started after its own start.
    """
    engine, watch_health = Engine(clock, settings.workers, random.random), WatchHealth(clock)
    crds = CrdCheck(engine, cluster, clock, registry.kinds)
    await crds.read()
    runtime = make_runtime(settings, cluster, crds, redactor, clock, registry)
    register(runtime, settings, registry)
    health = Health(clock, {"passes": no_pass_is_stuck(engine)},
                    {"watch": has_started(watch_health.age), "CRDs": crds.problem,
                     "passes": first_passes_have_begun(engine, clock)})
    log.info("listening", port=await health.start(settings.health_host, settings.health_port))
    await runtime.recorder.start()

    async def shutdown() -> None:
        """End the passes, then the sessions of accounts: kopf would wait five seconds for the tasks of a session."""
        await engine.drain(settings.drain_timeout)
        await runtime.accounts.stop()

    await prime(engine, cluster, settings, crds.served)
    async with runtime.references.watching():
        await engine.start()
        try:
            yield Running(engine, watch_health, shutdown, crds)
        finally:
            await shutdown()
            runtime.sources.close()
            await runtime.recorder.drain(EVENT_DRAIN_TIMEOUT)
            await health.stop()


def make_runtime(settings: Settings, cluster: KubeCluster, crds: CrdCheck, redactor: logs.Redactor, clock: Clock,
               registry: Registry) -> Runtime:
    """All clients and adapters that the reconcilers need, made once."""
    routes, engine = routes_of(settings, redactor), crds.engine
    watched = WatchedReferences(engine, cluster, settings, clock, random.random)
    objects = CheckedObjects(cluster, watched.take_read, watched.digests, settings.require_secret_consent)
    undone = UndoneWrites(clock)
    for kind in registry.kinds:
        engine.subscribe(kind.kind, undone.follow)
    return Runtime(
        engine=engine, undone=undone, cluster=cluster, objects=objects, references=watched, crds=crds,
        accounts=Accounts(engine, cluster, crds.missing.intersection(kind.kind for kind in ACCOUNT_KINDS)),
        holders=Holders(engine, cluster, clock, settings.watch_namespaces,
                        tuple(one.kind for one in registry.resources)),
        recorder=Recorder(cluster.api, clock, socket.gethostname(), redactor.clean),
        sources=Sources(objects, settings.work_dir, allowed_hosts=frozenset(settings.allowed_source_hosts),
                        keep_secret=redactor.add, kinds=registry.sources, routes=routes, clock=clock),
        routes=routes,
        clock=clock, policy=policy_of(settings), keep_secret=redactor.add,
    )


def policy_of(settings: Settings) -> Policy:
    """The delays and deadlines that the decisions use."""
    return Policy(recreate_delay=settings.settle, longest_life=settings.create_longest_life,
                  missing_grace=settings.missing_grace, expiry_grace=settings.expiry_grace, resync=settings.resync,
                  reference_resync=settings.reference_resync, reference_grace=settings.reference_grace)


def routes_of(settings: Settings, redactor: logs.Redactor) -> Routes:
    """How connections to the outside are made. Raises Unavailable for proxies or certificates that cannot be used."""
    proxies = Proxies.of(os.environ)
    for secret in proxies.secrets:
        redactor.add(secret)
    return Routes(Trust(settings.ca_bundle, os.environ), proxies)


def endpoint_rules(settings: Settings) -> EndpointRules:
    """Which endpoints accounts may have."""
    return EndpointRules.of(settings.allowed_endpoints, plain_allowed=settings.allow_http_endpoints)


def register(runtime: Runtime, settings: Settings, registry: Registry) -> None:
    """Name the pass of each kind, and the objects that objects of each kind refer to."""
    rules, remote_kinds = endpoint_rules(settings), tuple(one.run.remote for one in registry.resources)
    wake = partial(runtime.engine.wake, urgent=Urgency.NEWS)

    def claims_on(entry: AccountEntry) -> dict[RemoteKind[Any], Claims]:
        return {one.run.remote: AccountClaims(runtime.engine, runtime.cluster, entry.key, one.run, runtime.policy.skew)
                for one in registry.resources}

    def open_session(entry: AccountEntry, key: str) -> AccountSession:
        rules_of_kind = rules.of_administrators if entry.is_of_administrator else rules
        may_be_private = rules_of_kind.may_be_private(endpoints.parse(entry.spec.endpoint))
        address = AccountAddress(entry.spec.endpoint, entry.spec.account_id, may_be_private)
        return AccountSession(address, ApiKey(key), clock=runtime.clock, jitter=random.random, wake=wake,
                              rate=entry.rate, routes=runtime.routes, kinds=remote_kinds, claims=claims_on(entry),
                              sizes=registry.list_sizes)

    accounts = AccountReconciler(runtime, open_session, namespace=settings.namespace,
                                 endpoints=rules)
    for kind in ACCOUNT_KINDS:
        refers_to = references.account_references(settings.namespace)
        runtime.engine.register(kind.kind, accounts.reconcile, accounts.gone, refers_to, accounts.report,
                                goes_first=True)
    deleted_accounts = DeletedAccounts(runtime.engine)
    of_sources = references.source_references(registry.sources)
    for resource in registry.resources:
        reconciler = RemoteReconciler(runtime, resource)
        refers_to = references.joined(resource.refers_to, of_sources)
        runtime.engine.register(resource.kind.kind, reconciler.reconcile, reconciler.gone, refers_to, reconciler.report)
        runtime.engine.subscribe(resource.kind.kind, deleted_accounts.resource_changed)


async def prime(engine: Engine, cluster: KubeCluster, settings: Settings, kinds: tuple[Kind, ...]) -> None:
    """List every object before the first pass: a deployment must not report its build missing after a restart."""
    everywhere: tuple[str | None, ...] = (None,)
    for kind in kinds:
        for namespace in settings.watch_namespaces or everywhere if kind.namespaced else everywhere:
            await _observe_all(engine, cluster, kind, namespace)


async def _observe_all(engine: Engine, cluster: KubeCluster, kind: Kind, namespace: str | None) -> None:
    """Observe each page before the next one is read; forget what was gone when an expired list began anew."""
    before, listed = set[str](), set[str]()
    async for page in cluster.pages(kind, namespace):
        if page.is_first:
            before, listed = before | listed, set()
        for obj in page.objects:
            engine.observe(kind.kind, None, obj)
            listed.add(obj["metadata"]["uid"])
    for uid in before - listed:
        engine.forget(uid)
