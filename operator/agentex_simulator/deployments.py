"""Deployments: rolled out, superseded, expired, deleted (agentex-api.md sections 1.5, 2.2 and 6)."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from agentex_simulator import records
from agentex_simulator.builds import Builds
from agentex_simulator.deploy_orders import DeployOrder, sanitized
from agentex_simulator.errors import RejectedError, broken_rule, not_found
from agentex_simulator.facts import deployment_facts
from agentex_simulator.ledger import SWEEP, WORKFLOW, Cause
from agentex_simulator.manifests import Environment, Manifest, read_environment, read_manifest
from agentex_simulator.records import DEPLOYMENT_OVER, Build, Deployment, Identity, deployment_wire
from agentex_simulator.rollouts import RolloutLog, events_of
from agentex_simulator.secret_store import SecretStore
from agentex_simulator.shelf import Shelf, Shelves
from agentex_simulator.stage import Stage

PREVIEW_LIFE = timedelta(hours=8)
SUFFIX = 4
SHORTEST_SWEEP = 0.05


@dataclass(frozen=True)
class _Checked:
    """An order whose build, YAML texts and secrets were found in order."""

    order: DeployOrder
    build: Build
    manifest: Manifest
    environment: Environment


class Deployments:
    """The deployments of every account and the workflow that rolls them out.

    In a manifest, `agent.description` chooses the rollout: "simulate: unhealthy" fails, "simulate: stuck" never ends.
    """

    def __init__(self, stage: Stage, builds: Builds, secrets: SecretStore) -> None:
        self._stage = stage
        self._builds = builds
        self._secrets = secrets
        self.shelves: Shelves[Deployment] = Shelves(partial(deployment_wire, status_case=stage.settings.status_case))
        self._logs: defaultdict[str, RolloutLog] = defaultdict(RolloutLog)
        self._sharing: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._previews: set[str] = set()
        self._deployed: set[tuple[str, str]] = set()
        self._plan_sweep()

    def shelf(self, account: str) -> Shelf[Deployment]:
        """The account's deployments."""
        return self.shelves.of(account)

    def get(self, account: str, deployment_id: str) -> Deployment:
        """The account's deployment; RejectedError 404."""
        deployment = self.shelf(account).get(deployment_id)
        if deployment is None:
            raise not_found("deployment", deployment_id)
        return deployment

    def create(self, account: str, order: DeployOrder, cause: Cause, created_by: Identity | None = None) -> Deployment:
        """Commit an order: pending, with the workflow to follow. RejectedError 400 for a build that is missing or
        not successful, bad YAML, agent names that disagree, a missing secret, an expiry in the past (section 6:
        unknown: chosen because such a preview could never be seen).
        """
        deployment = self._fresh(account, self._checked(account, order), created_by or Identity(f"sa-{account}"))
        self._commit_new(deployment, cause)
        if self._stage.settings.supersede == "at-create":
            self._supersede_older(deployment)
        self._stage.later(self._stage.settings.durations.pending, lambda: self._roll(deployment.id))
        return deployment

    def delete(self, account: str, deployment_id: str, cause: Cause) -> Deployment:
        """Remove it: deleted at once, its release uninstalled a little later. RejectedError when already over."""
        deployment = self.get(account, deployment_id)
        if deployment.status in DEPLOYMENT_OVER:
            status = self._stage.settings.terminal_delete_status
            raise RejectedError(status, f"deployment {deployment_id} is already {deployment.status.upper()}")
        return self.tear_down(deployment, cause)

    def tear_down(self, deployment: Deployment, cause: Cause) -> Deployment:
        """Mark it deleted and let the uninstall follow."""
        gone = self._record(deployment, records.over(deployment, "deleted"), cause, "delete")
        self._stage.later(self._stage.settings.durations.uninstall, lambda: self._uninstall(gone))
        return gone

    def log_page(self, account: str, deployment_id: str, cursor: str, limit: int) -> dict[str, Any]:
        """One page of the deployment's log; RejectedError 404, or 400 for a bad cursor."""
        self.get(account, deployment_id)
        return self._logs[deployment_id].page(deployment_id, cursor, limit)

    def ever_healthy(self, account: str, agent_name: str) -> bool:
        """Whether any build of the agent ever reached a healthy deployment."""
        return (account, agent_name) in self._deployed

    def make_healthy(self, deployment_id: str, cause: Cause = WORKFLOW) -> Deployment:
        """The release is up; older production deployments of the same release are superseded."""
        deployment = self.known(deployment_id)
        up = self._record(deployment, records.healthy(deployment), cause)
        if up is not deployment:
            self._deployed.add((up.account_id, up.agent_name))
            self._supersede_older(up)
        return up

    def fail(self, deployment_id: str, cause: Cause = WORKFLOW) -> Deployment:
        """The release is broken; the record still owns it."""
        deployment = self.known(deployment_id)
        return self._record(deployment, records.failed(deployment), cause)

    def become(self, deployment_id: str, cause: Cause, **changes: Any) -> Deployment:
        """Change fields from outside: archived, status, shown_status, expires_at."""
        deployment = self.known(deployment_id)
        return self._record(deployment, replace(deployment, **changes), cause)

    def expire(self, deployment_id: str, cause: Cause) -> Deployment:
        """Tear a preview down as the sweep does; RejectedError 400 for a production deployment."""
        deployment = self.preview(deployment_id)
        return deployment if deployment.status in DEPLOYMENT_OVER else self.tear_down(deployment, cause)

    def preview(self, deployment_id: str) -> Deployment:
        """The preview in whichever account has it; RejectedError 404, 400 for a production deployment."""
        deployment = self.known(deployment_id)
        if not deployment.preview:
            raise broken_rule(f"deployment {deployment_id} is not a preview")
        return deployment

    def known(self, deployment_id: str) -> Deployment:
        """The deployment in whichever account has it; RejectedError 404."""
        deployment = self.shelves.anywhere(deployment_id)
        if deployment is None:
            raise not_found("deployment", deployment_id)
        return deployment

    def sweep(self) -> None:
        """Tear down every preview whose expiry, plus the lag, has passed. Resulting status is unknown in the docs:
        chosen deleted because that is what the teardown of a deployment records.
        """
        late = self._stage.clock.now() - timedelta(seconds=self._stage.settings.expiry_lag)
        for deployment in [self.known(deployment_id) for deployment_id in self._previews]:
            if deployment.expires_at is not None and deployment.expires_at <= late:
                self.expire(deployment.id, SWEEP)

    def _plan_sweep(self) -> None:
        every = max(SHORTEST_SWEEP, self._stage.scaled(self._stage.settings.durations.sweep))
        self._stage.timeline.after(every, self._sweep_again)

    def _sweep_again(self) -> None:
        self.sweep()
        self._plan_sweep()

    def _checked(self, account: str, order: DeployOrder) -> _Checked:
        build = self._successful_build(account, order)
        manifest = read_manifest(order.manifest_file)
        environment = read_environment(order.environment_config, self._stage.settings.environment)
        if manifest.agent_name != build.agent_name or environment.agent_name not in {None, build.agent_name}:
            raise broken_rule(
                f"agent names disagree: the build is for {build.agent_name}, see the manifest's agent.name"
            )
        self._check_secrets(account, manifest)
        self._check_expiry(order.expires_at)
        return _Checked(order, build, manifest, environment)

    def _successful_build(self, account: str, order: DeployOrder) -> Build:
        if order.build_id is not None:
            build = self._builds.shelf(account).get(order.build_id)
        else:
            build = self._builds.deployable(account, order.image_name or "", order.image_tag or "")
        if build is None:
            raise broken_rule("the build to deploy does not exist")
        if build.status != "success":
            raise broken_rule(f"build {build.id} is {build.status}, only a successful build can be deployed")
        return build

    def _check_secrets(self, account: str, manifest: Manifest) -> None:
        for name in manifest.secret_names:
            if not self._secrets.has_key(account, name):
                raise broken_rule(f"secret {name} referenced by the manifest does not exist")

    def _check_expiry(self, expires_at: datetime | None) -> None:
        if expires_at is not None and expires_at <= self._stage.clock.now():
            raise broken_rule("expires_at is in the past")

    def _fresh(self, account: str, checked: _Checked, created_by: Identity) -> Deployment:
        order, now, new_id = checked.order, self._stage.clock.now(), self._stage.new_id()
        label = sanitized(order.preview_label)
        return Deployment(
            id=new_id,
            account_id=account,
            agent_name=checked.build.agent_name,
            build_id=checked.build.id,
            created_at=now,
            created_by=created_by,
            manifest_file=order.manifest_file,
            environment_config=order.environment_config,
            namespace=checked.environment.namespace or f"agentex-{account}",
            release=_release(checked.build.agent_name, label, new_id if order.preview else None),
            preview=order.preview,
            preview_label=label,
            expires_at=(order.expires_at or now + PREVIEW_LIFE) if order.preview else None,
        )

    def _commit_new(self, deployment: Deployment, cause: Cause) -> None:
        self.shelf(deployment.account_id).put(deployment)
        self._stage.ledger.write(cause, "create", deployment_facts(deployment))
        self._logs[deployment.id].tell(deployment, deployment.created_at)
        if deployment.preview:
            self._previews.add(deployment.id)
        else:
            self._sharing[deployment.account_id, deployment.release].append(deployment.id)

    def _roll(self, deployment_id: str) -> None:
        deployment = self.known(deployment_id)
        if self._record(deployment, records.rolling(deployment), WORKFLOW) is deployment:
            return
        wish = read_manifest(deployment.manifest_file).description
        ending = self.fail if "simulate: unhealthy" in wish else self.make_healthy
        if "simulate: stuck" not in wish:
            seconds = self._stage.between(self._stage.settings.durations.rollout)
            self._stage.later(seconds, lambda: self._end_rollout(deployment_id, ending))

    def _end_rollout(self, deployment_id: str, ending: Any) -> None:
        if self.known(deployment_id).status in records.ROLLING:
            ending(deployment_id)

    def _supersede_older(self, newer: Deployment) -> None:
        """Whatever shares the release and is older is over, failed ones too: deleting one would remove the live
        release (section 1.5). Production only: a preview's release is its own.
        """
        sharing = self._sharing[newer.account_id, newer.release] if not newer.preview else []
        for older_id in sharing[: sharing.index(newer.id)] if sharing else []:
            older = self.known(older_id)
            self._record(older, records.over(older, "superseded"), WORKFLOW)

    def _uninstall(self, gone: Deployment) -> None:
        self._stage.ledger.write(WORKFLOW, "uninstall", {**deployment_facts(gone), "kind": "release"})

    def _record(self, old: Deployment, new: Deployment, cause: Cause, verb: str = "update") -> Deployment:
        if new is old:
            return old
        if new.status != old.status:
            now = self._stage.clock.now()
            new = replace(new, events=new.events + events_of(new, now))
            self._logs[new.id].tell(new, now)
        self.shelf(new.account_id).put(new)
        self._stage.ledger.write(cause, verb, deployment_facts(new))
        if new.status in DEPLOYMENT_OVER:
            self._previews.discard(new.id)
        return new


def _release(agent_name: str, label: str | None, preview_id: str | None) -> str:
    """The agent's name; for a preview, with label and a suffix of the deployment's id (section 6)."""
    if preview_id is None:
        return agent_name
    return "-".join(part for part in (agent_name, label, preview_id[-SUFFIX:]) if part)
