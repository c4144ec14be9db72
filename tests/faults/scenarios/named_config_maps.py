"""What names a ConfigMap in the configmaps family, how that ConfigMap changes, and what must come of it.

The ConfigMap holds a build context, a manifest and environments; each content has a number, which the Dockerfile, the
description of the agent and a comment in the environments say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.faults.runner.runner import Runner
from tests.faults.scenarios.deployments import of_build
from tests.faults.scenarios.scenario import BUILD, DEPLOYMENT, wait

from agentex_testkit.api_server import Object, condition, eventually, ready
from agentex_testkit.builders import DOCKERFILE, ENVIRONMENTS, a_build, a_context, a_deployment, a_manifest
from agentex_testkit.judge.findings import Finding, Harm

CONFIG_MAP, NAME = "ConfigMap", "quote"
MARK = "# content: "
NAMED = ("build", "deployment", "both")   # both: a deployment of that build, with the environments of its ConfigMap
# The contents after the first one; `-`: the ConfigMap is deleted, `?`: until the resources say so.
CHANGES = {"changed": "2", "twice": "23", "back": "21", "recreated": "-2", "deleted": "-?2", "labelled": ""}


def content(number: int) -> Object:
    """The ConfigMap with this content."""
    held = a_context(NAME, f"{MARK}{number}\n{DOCKERFILE}", f"answers {number}")
    texts = {"manifest.yaml": a_manifest(NAME, f"answers {number}"),
             "environments.yaml": f"{ENVIRONMENTS}{MARK}{number}\n"}
    return {**held, "data": texts}


@dataclass
class NamedConfigMap:
    """One ConfigMap, and the resources that name it: `named` says which."""

    runner: Runner
    named: str
    number: int = 1   # of the content

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the resources that name it."""
        return {"build": (BUILD,), "deployment": (DEPLOYMENT,)}.get(self.named, (BUILD, DEPLOYMENT))

    def make(self) -> None:
        """Make the ConfigMap and those that name it, and wait until all are Ready."""
        world = self.runner.world
        world.apply(content(1))
        if BUILD in self.kinds:
            world.apply(a_build(NAME))
        if DEPLOYMENT in self.kinds:
            world.apply(self._deployment())
        for kind in self.kinds:
            wait(world, kind, NAME)

    def _deployment(self) -> Object:
        key: dict[str, Any] = {one: {"configMapKeyRef": {"name": NAME, "key": f"{one}.yaml"}}
                               for one in ("manifest", "environments")}
        if BUILD in self.kinds:
            return a_deployment(NAME, environments=key["environments"], manifest={"fromBuild": True})
        return a_deployment(NAME, **of_build(self.runner.world), **key)

    def change(self, how: str) -> None:
        """Change the ConfigMap like this; `once more`: after it was `changed`."""
        world = self.runner.world
        if how == "labelled":
            world.patch(CONFIG_MAP, NAME, metadata={"labels": {"changed": "yes"}})
        for step in CHANGES.get(how, "3"):
            if step == "-":
                world.delete(CONFIG_MAP, NAME)
            elif step == "?":
                self._wait_until_it_is_missed()
            else:
                self.number = int(step)
                world.apply(content(self.number))

    def _wait_until_it_is_missed(self) -> None:
        for kind in self.kinds:
            wait(self.runner.world, kind, NAME, misses_its_config_map)

    def explain(self, how: str) -> None:
        """Tell the judge how many creates the change explains: a deployment of a build is made of both.

        Where the first content comes again, the deployment of then may serve on while one of another content starts.
        """
        contents, returns = sum(step.isdigit() for step in CHANGES[how]), CHANGES[how].count("1")
        for kind in self.kinds:
            times = 2 if self.named == "both" and kind == DEPLOYMENT else 1
            self.runner.world.explain(kind, NAME, creates=1 + times * contents, returns=returns)

    def wait(self, seconds: float) -> None:
        """Wait until every resource is Ready, and what it has on record is made of the newest content."""
        for kind in self.kinds:
            self.runner.world.wait(kind, NAME, partial(self.is_newest, kind), seconds)

    def is_newest(self, kind: str, obj: Object | None) -> bool:
        """Whether it is Ready, and the remote object on record is made of the newest content."""
        return ready(obj) and set(self._numbers(kind, obj["status"])) == {self.number}

    def _numbers(self, kind: str, status: Object) -> Iterator[int]:
        """The numbers of the contents that the remote object on record is made of."""
        world = self.runner.simulator.simulator.simulation.world
        if kind == BUILD:
            build = world.builds.shelves.anywhere(status.get("buildID", ""))
            archive = build.archive if build else None
            yield number_in((archive.dockerfile or "") if archive else "", MARK)
            return
        found = world.deployments.shelves.anywhere(status.get("deploymentID", ""))
        yield number_in(found.manifest_file if found else "", "answers ")
        yield number_in(found.environment_config if found else "", MARK)

    def versions(self) -> int:
        """How many versions the resources have had: the creates, the user's edits, and every write of the operator."""
        return sum(len(self.runner.world.versions(kind, NAME)) for kind in self.kinds)

    def outdated(self) -> Iterator[Finding]:
        """A finding for each resource that is not Ready for the newest content."""
        for kind in self.kinds:
            if not self.is_newest(kind, self.runner.world.get(kind, NAME)):
                yield Finding("I20", f"{kind} {NAME} is not Ready for content {self.number}", Harm.STUCK)


def misses_its_config_map(obj: Object | None) -> bool:
    """Whether a condition says that the ConfigMap is not there."""
    return any(condition(obj, kind).get("reason") == "ConfigMapNotFound" for kind in ("Ready", "SourceReady"))


def number_in(text: str, mark: str) -> int:
    """The number after this mark; 0 where there is none."""
    digits = itertools.takewhile(str.isdigit, text.partition(mark)[2])
    return int("".join(digits) or 0)


def reads(runner: Runner) -> int:
    """How often the operator has read the ConfigMap in this plan."""
    return sum(call.what == f"configmaps/{NAME}" for call in tuple(runner.proxy.trace))


def polled_for_ever(runner: Runner, quiet: float, within: float) -> Iterator[Finding]:
    """A finding if the ConfigMap is still polled after `within` seconds: no `quiet` seconds went without a read."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(reads(runner))
        most = int(quiet / LOOK_EVERY)
        return len(seen) > most and seen[-1] == seen[-1 - most]

    try:
        eventually(look, seconds=within)
    except AssertionError:
        yield Finding("I11", f"the ConfigMap is polled for more than {within:g} s", Harm.OTHER)


LOOK_EVERY = 0.1  # seconds: as `eventually` does
