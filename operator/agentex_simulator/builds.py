"""Builds: created, run by a pretend provider, cancelled in a race with it (agentex-api.md sections 1.2 to 1.4)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agentex_simulator import records
from agentex_simulator.agents import Agents
from agentex_simulator.build_orders import BuildOrder
from agentex_simulator.dockerfiles import BuildPlan, plan_build
from agentex_simulator.errors import not_found
from agentex_simulator.facts import build_facts
from agentex_simulator.ledger import WORKFLOW, Cause
from agentex_simulator.records import BUILD_UNFINISHED, Agent, Build, Identity, build_wire
from agentex_simulator.shelf import Shelf, Shelves
from agentex_simulator.stage import Stage

REGISTRY = "registry.agentex.invalid"


class Builds:
    """The builds of every account and the provider that runs them."""

    def __init__(self, stage: Stage, agents: Agents) -> None:
        self._stage = stage
        self._agents = agents
        self.shelves: Shelves[Build] = Shelves(build_wire)
        self._plans: dict[str, BuildPlan] = {}
        self._running: dict[str, tuple[float, float]] = {}
        self._logs: dict[str, tuple[str, ...]] = {}

    def shelf(self, account: str) -> Shelf[Build]:
        """The account's builds."""
        return self.shelves.of(account)

    def get(self, account: str, build_id: str) -> Build:
        """The account's build; RejectedError 404."""
        build = self.shelf(account).get(build_id)
        if build is None:
            raise not_found("build", build_id)
        return build

    def create(self, account: str, order: BuildOrder, cause: Cause, created_by: Identity | None = None) -> Build:
        """Commit an order: queued for an archive, success at once for an image. RejectedError as Agents does."""
        agent = self._agent(account, order, cause)
        build = self._fresh(agent, order, created_by or Identity(f"sa-{account}"))
        self.shelf(account).put(build)
        self._stage.ledger.write(cause, "create", build_facts(build))
        self._send_to_provider(build)
        return build

    def cancel(self, account: str, build_id: str, cause: Cause) -> Build:
        """Ask for a cancel; the record as it was. No effect, and no ledger entry, unless queued or running."""
        build = self.get(account, build_id)
        if build.status in {"queued", "running"}:
            self._stage.ledger.write(cause, "cancel", build_facts(build))
            self._stage.later(self._stage.settings.durations.cancel_mark, lambda: self._mark_cancelling(build_id))
        return build

    def finish(self, build_id: str, status: str, cause: Cause, reason: str | None = None) -> Build:
        """End it now, as the provider would; `reason` becomes the last log line. A finished one stays as it is."""
        build = self._known(build_id)
        ended = records.finished(build, status, self._stage.clock.now())
        if ended is not build:
            self._close_log(build, reason)
        return self._record(build, self._with_image(ended), cause)

    def become(self, build_id: str, cause: Cause, verb: str = "update", **changes: Any) -> Build:
        """Change fields from outside: archived, status, shown_status."""
        build = self._known(build_id)
        return self._record(build, replace(build, **changes), cause, verb)

    def remove(self, build_id: str, cause: Cause) -> Build:
        """Make the record vanish: 404 from now on."""
        build = self._known(build_id)
        self.shelf(build.account_id).drop(build_id)
        self._stage.ledger.write(cause, "delete", build_facts(build))
        return build

    def log(self, account: str, build_id: str) -> tuple[tuple[str, ...], bool]:
        """The lines so far and whether these are all; RejectedError 404."""
        build = self.get(account, build_id)
        if build_id in self._logs:
            return self._logs[build_id], True
        return self._written(build_id), build.status not in BUILD_UNFINISHED

    def deployable(self, account: str, image_name: str, image_tag: str) -> Build | None:
        """The newest successful build of that image."""
        wanted = (image_name, image_tag, "success")
        builds = [b for b in self.shelf(account) if (b.image_name, b.image_tag, b.status) == wanted]
        return builds[-1] if builds else None

    def _agent(self, account: str, order: BuildOrder, cause: Cause) -> Agent:
        if order.agent_id is not None:
            return self._agents.existing(account, order.agent_id)
        return self._agents.create(account, order.agent_name or "", cause)

    def _fresh(self, agent: Agent, order: BuildOrder, created_by: Identity) -> Build:
        now = self._stage.clock.now()
        build = Build(
            id=self._stage.new_id(),
            account_id=agent.account_id,
            agent_name=agent.name,
            agent_id=agent.id,
            provider_id=self._stage.new_id(),
            created_at=now,
            created_by=created_by,
            image_name=order.image_name,
            image_tag=order.image_tag,
            provenance=order.provenance,
            archive=order.archive,
            build_args=order.build_args,
            platform=order.platform,
            copied_from=order.image_url,
        )
        return build if order.archive else self._with_image(records.finished(build, "success", now))

    def _with_image(self, build: Build) -> Build:
        """An image that was built or copied has an address in the account's registry (section 1.2: the sent
        image_url may be rewritten; unknown: chosen because the docs say the image is copied).
        """
        if build.status != "success":
            return build
        return replace(build, image_url=f"{REGISTRY}/{build.account_id}/{build.image_name}:{build.image_tag}")

    def _send_to_provider(self, build: Build) -> None:
        if build.archive is None:
            self._logs[build.id] = (f"Registered existing image as {build.image_url}",)
            return
        self._plans[build.id] = plan_build(build.archive)
        queued = self._stage.between(self._stage.settings.durations.queued)
        self._stage.later(queued, lambda: self._start(build.id))

    def _start(self, build_id: str) -> None:
        build = self.shelves.anywhere(build_id)
        if build is None or build.status != "queued":
            return
        self._record(build, records.started(build, self._stage.clock.now()), WORKFLOW)
        extra = self._plans[build_id].extra_seconds
        seconds = self._stage.between(self._stage.settings.durations.running) + (extra or 0)
        self._running[build_id] = (self._stage.clock.elapsed(), self._stage.scaled(seconds))
        if extra is not None:
            self._stage.later(seconds, lambda: self._provider_ends(build_id))

    def _provider_ends(self, build_id: str) -> None:
        build = self.shelves.anywhere(build_id)
        if build is not None and build.status in BUILD_UNFINISHED:
            self._running[build_id] = (0, 0)  # every line has been written by now
            self.finish(build_id, self._plans[build_id].outcome, WORKFLOW)

    def _mark_cancelling(self, build_id: str) -> None:
        build = self.shelves.anywhere(build_id)
        if build is not None and (marked := records.cancelling(build)) is not build:
            self._record(build, marked, WORKFLOW)
            self._stage.later(self._stage.settings.durations.cancel, lambda: self._settle_cancel(build_id))

    def _settle_cancel(self, build_id: str) -> None:
        build = self.shelves.anywhere(build_id)
        if build is not None and build.status == "cancelling":
            self._close_log(build, "Build cancelled")
            self._record(build, records.cancelled(build, self._stage.clock.now()), WORKFLOW)

    def _record(self, old: Build, new: Build, cause: Cause, verb: str = "update") -> Build:
        if new is not old:
            self.shelf(new.account_id).put(new)
            self._stage.ledger.write(cause, verb, build_facts(new))
        return new

    def _known(self, build_id: str) -> Build:
        build = self.shelves.anywhere(build_id)
        if build is None:
            raise not_found("build", build_id)
        return build

    def _close_log(self, build: Build, last_line: str | None) -> None:
        self._logs[build.id] = self._written(build.id) + ((last_line,) if last_line else ())

    def _written(self, build_id: str) -> tuple[str, ...]:
        """The lines of a running build appear evenly over its time; a queued one has none."""
        if build_id not in self._running:
            return ()
        began, seconds = self._running[build_id]
        lines = self._plans[build_id].lines
        share = (self._stage.clock.elapsed() - began) / seconds if seconds else 1
        return lines[: int(share * len(lines)) + 1]


def undeployed(builds: Shelf[Build], deployed: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Agents none of whose builds ever reached a healthy deployment: name, latest build, number of builds."""
    latest: dict[str, tuple[Build, int]] = {}
    for build in builds:
        if not build.archived and not deployed(build.agent_name):
            latest[build.agent_name] = (build, latest.get(build.agent_name, (build, 0))[1] + 1)
    return [
        {"agent_name": name, "latest_build": build_wire(build), "total_builds": total}
        for name, (build, total) in latest.items()
    ]
