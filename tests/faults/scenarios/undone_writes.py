"""The undone family: another client of the API server undoes what the operator writes to one object.

    undone/build/announced/status/once        the status is removed once, between the intent of a create and its answer
    undone/deployment/ready/finalizer/while   the finalizer is removed whenever it is there, for FOR_LONG seconds

Whatever is undone, and when: one remote object, nothing lost, and the resource gets where it was going once the other
client stops. While it goes on, the operator's writes become ever rarer, and an Event tells how to find that client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios.builds import ANOTHER
from tests.faults.scenarios.deployments import of_build
from tests.faults.scenarios.other_client import ANNOTATIONS, REQUEST, OtherClient
from tests.faults.scenarios.scenario import BUILD, DEPLOYMENT, PATIENCE, on_record, written_down

from agentex_operator.api.metadata import FINALIZER
from agentex_testkit.api_server import PLURALS, Object, condition, eventually, gone, ready
from agentex_testkit.builders import STUCK, a_build, a_context, a_deployment, a_manifest, a_preview
from agentex_testkit.fault_proxy.calls import KUBE
from agentex_testkit.judge.findings import Finding, Harm

NAME, ACCOUNT, REASON = "quote", "AgentexAccount", "WriteUndone"
KINDS = {"build": BUILD, "deployment": DEPLOYMENT, "preview": DEPLOYMENT, "account": ACCOUNT}
STEPS = ("new", "announced", "recorded", "ready", "edited", "deleted")  # what has just happened when it begins
TIMES = {"once": 1, "thrice": 3, "while": 10_000}
FOR_LONG = 15.0    # seconds: six writes at once, then pauses of 1, 2, 4 and 8 seconds
MOST_WRITES = 60   # in that time, of all sorts; without the pauses there are hundreds
FEW_WRITES = 12    # those of one request
MOST_CREATES = 14  # by repetitions: the first ones, six at once, and one after each pause
GROWN = 2.0        # seconds: the least pause in the end
FOR_SHORT = 6.0    # seconds in which the operator gives it enough to undo for `once` and `thrice`
# What the operator writes after that is judged when the other client has stopped; in between, its own writes carry on
# from what the other client left: conditions without Ready, an observedGeneration that begins anew, the oldest id.
EXCUSED = {"report": ("I19",), "status": ("I6", "I9", "I19")}
GATE = ("build/announced/status/once", "deployment/ready/finalizer/while")


class UndoneWrites:
    """The undone family."""

    name = "undone"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself."""
        return [[f"{self.name}/{plan}"] for plan in (GATE if scale.gate else self._plans())]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan."""
        for plan in plans:
            _, life, step, what, how_often = plan.split("/")
            yield UndonePlan(runner, life, step, what, how_often).run(plan)

    def _plans(self) -> Iterator[str]:
        for life in ("build", "deployment"):
            for step in STEPS:
                often = ("once", "while") if step == "deleted" else TIMES  # a deletion writes less than three times
                yield from (f"{life}/{step}/status/{times}" for times in often)
                yield f"{life}/{step}/report/while"
                # who removes the finalizer of what is deleted ends it, and the operator is not asked
                yield from (f"{life}/{step}/finalizer/{times}" for times in ("once", "while") if step != "deleted")
        yield from (f"preview/{step}/status/{times}" for step in ("edited", "deleted") for times in ("once", "while"))
        yield from (f"{life}/requested/{what}/while" for life in ("build", "preview")
                    for what in ("acknowledgement", "request"))
        yield "deployment/waiting/finalizer/while"
        yield from (f"account/ready/{what}/while" for what in ("status", "finalizer"))


class UndonePlan:
    """One plan: a resource, the step of its life at which another client begins, what it undoes, and how often."""

    def __init__(self, runner: Runner, life: str, step: str, what: str, how_often: str) -> None:
        self.runner, self.life, self.step, self.what = runner, life, step, what
        self.kind, self.for_long = KINDS[life], how_often == "while"
        self.name = "default" if life == "account" else NAME
        self.other = OtherClient(runner.world, self.kind, self.name, what, TIMES[how_often])
        self.told: list[Finding] = []

    def run(self, plan: str) -> Outcome:
        """Run it, from an empty world to an empty world."""
        self.runner.reset()
        findings = self.runner.attempt(self._play) or (*self.told, *self.runner.wait_for_rest())
        reached = len(self.other.undone) >= (1 if self.for_long else self.other.times)
        every = (*findings, *self.runner.unexpected_exits(), *self.runner.finish())
        return Outcome(plan, tuple(one for one in every if not self._excused(one)), reached)

    def _excused(self, one: Finding) -> bool:
        """Whether the finding is about versions that carry on from what the other client left."""
        return one.invariant in EXCUSED.get(self.what, ()) and one.text.startswith(f"{self.kind} {self.name}: ")

    def _play(self) -> None:
        self._prepare()
        with self.other.at_work():
            self._go_on()
            self.other.wait(FOR_LONG if self.for_long else FOR_SHORT)
            self.told = list(self._while_it_goes_on()) if self.for_long else []
        if self.step == "waiting":
            self._make_its_build()
        self.runner.world.wait(self.kind, self.name, gone if self.step == "deleted" else self._healed, PATIENCE)

    # --- a life ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Bring the resource to the step at which the other client begins; that step itself may be its first act."""
        world = self.runner.world
        self.wish = self._wish() if self.life != "account" else {}
        if self.step == "announced":
            world.simulator.fault("slow", match={"method": "POST"}, header_delay=0.7)
        if self.step not in ("new", "waiting") and self.wish:
            self._make()
        if self.step not in ("new", "waiting"):
            world.wait(self.kind, self.name, self._is_at_step, PATIENCE)
        self.written_before = self._writes()

    def _is_at_step(self, obj: Object | None) -> bool:
        if self.step == "announced":
            return written_down(obj)
        runs = self.step == "recorded" or (self.step, self.life) == ("deleted", "build")
        return on_record(self.kind)(obj) if runs else ready(obj)

    def _wish(self) -> Object:
        world = self.runner.world
        if self.life == "build":
            world.apply(a_context(NAME, STUCK) if self.step == "deleted" else a_context(NAME))
            return a_build(NAME)
        if self.step == "waiting":
            return a_deployment(NAME)
        return a_preview(NAME, **of_build(world)) if self.life == "preview" else a_deployment(NAME, **of_build(world))

    def _make(self) -> None:
        self.runner.world.apply(self.wish)

    def _make_its_build(self) -> None:
        self.runner.world.apply(a_context(NAME), a_build(NAME))

    def _go_on(self) -> None:
        """What the user does while the other client is at work."""
        world = self.runner.world
        match self.step:
            case "new" | "waiting":
                self._make()
            case "edited":
                world.explain(self.kind, NAME, creates=2 + self._repeated_builds())
                world.apply(self._edited())
            case "deleted":
                world.delete(self.kind, NAME)
            case "requested":
                creates = 2 if self.what == "request" else MOST_CREATES
                world.explain(self.kind, NAME, creates=creates, returns=creates - 1)
                named = dict.fromkeys(ANNOTATIONS[self.life != "build":][:1], REQUEST)
                world.patch(self.kind, NAME, metadata={"annotations": named})
            case _:  # the remote goes on by itself
                pass

    def _repeated_builds(self) -> int:
        """How many more builds may be made: without a status the oldest build is taken for that of the spec."""
        return min(self.other.times, MOST_CREATES) if (self.what, self.life) == ("status", "build") else 0

    def _edited(self) -> Object:
        changed: dict[str, Any] = {"manifest": {"inline": a_manifest(NAME, "answers better")}}
        return {**self.wish, "spec": {**self.wish["spec"], **(ANOTHER if self.life == "build" else changed)}}

    def _healed(self, obj: Object | None) -> bool:
        """Whether it is Ready, and held: what is deleted without the finalizer leaves its remote object behind."""
        return ready(obj) and FINALIZER in obj["metadata"].get("finalizers", ())

    # --- while it goes on -----------------------------------------------------------------------------------------

    def _while_it_goes_on(self) -> Iterator[Finding]:
        """Findings where writes do not become rarer, or where nothing tells of the other client."""
        writes = self._writes() - self.written_before
        if writes > (FEW_WRITES if self.what == "request" else MOST_WRITES):
            yield Finding("I11", f"{writes} writes in {FOR_LONG:g} s while another client undid them", Harm.OTHER)
        obj = self.runner.world.get(self.kind, self.name)
        if self.what == "request" or obj is None:
            return
        if self.other.last_pause < GROWN:
            text = f"writes again within {self.other.last_pause:.1f} s after {len(self.other.undone)} times"
            yield Finding("I11", text, Harm.OTHER)
        yield from self.runner.attempt(partial(self._wait_until_told, obj["metadata"]["uid"]))

    def _wait_until_told(self, uid: str) -> None:
        """Wait for an Event that says how to find the other client; where the status can say so too, it does."""
        world = self.runner.world
        eventually(lambda: [one["note"] for one in world.events(self.kind, self.name)
                            if (one["regarding"].get("uid"), one["reason"]) == (uid, REASON)],
                   lambda notes: any("--show-managed-fields" in note for note in notes), 5)
        if self.step == "waiting":
            world.wait(self.kind, self.name, lambda obj: condition(obj, "Ready").get("reason") == REASON, 5)

    def _writes(self) -> int:
        """How many writes to the object the operator has sent."""
        what = f"{PLURALS[self.kind]}/{self.name}"
        return sum((call.server, call.verb) == (KUBE, "PATCH") and call.what in (what, f"{what}/status")
                   for call in tuple(self.runner.proxy.trace))
