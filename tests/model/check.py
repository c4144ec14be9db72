"""One search, with or without a mutant, and what is said of it."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Any

from tests.model.environment import Model
from tests.model.mutants import MUTANTS, Mutant
from tests.model.search import Counterexample, Result, Search, replay
from tests.model.states import Configuration
from tests.model.values import plain_conditions

from agentex_operator.core import calls

NO_MUTANT = Mutant("", "the production rules", (), ())
BY_NAME = {mutant.name: mutant for mutant in MUTANTS} | {"": NO_MUTANT}


@dataclass(frozen=True)
class Checked:
    """A search that was made, and how long one core took."""

    configuration: str
    mutant: str
    result: Result
    seconds: float

    @property
    def line(self) -> str:
        """It in one line."""
        result = self.result
        return (f"{self.configuration:56} {result.states:>9,} states {result.transitions:>11,} transitions "
                f"depth {result.depth:>3} {self.seconds:>6.1f} s"
                f"{'' if result.complete or result.counterexample else '  (cut short)'}")


def search(configuration: str, mutant: str = "", most: int | None = None) -> Checked:
    """Search all that can happen."""
    began = time.process_time()
    result = run(configuration, BY_NAME[mutant], most)
    return Checked(configuration, mutant, result, time.process_time() - began)


def run(configuration: str, mutant: Mutant, most: int | None = None) -> Result:
    """Search with the rules changed like that."""
    with plain_conditions(), mutant.applied() as laws:
        return Search(Model(Configuration.parse(configuration), laws), most).run()


def peak_memory() -> float:
    """GiB that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


# --- a counterexample to read ---------------------------------------------------------------------------------------


def command(checked: Checked, found: Counterexample) -> str:
    """The one command that shows this counterexample again."""
    path = ".".join(map(str, found.path))
    mutant = f" --mutant {checked.mutant}" if checked.mutant else ""
    return f".venv/bin/python -m tests.model --replay '{checked.configuration}'{mutant} --path {path}"


def trace(configuration: str, mutant: str, path: tuple[int, ...]) -> list[str]:
    """The steps along a path, in words, and where they end."""
    with plain_conditions(), BY_NAME[mutant].applied() as laws:
        model = Model(Configuration.parse(configuration), laws)
        steps, last = [], model.initial
        for number, (_, edge) in enumerate(replay(model, path), start=1):
            steps.append(f"{number:>3}. {_words(edge.label)}")
            steps += [f"     *** {edge.violation}"] if edge.violation else []
            last = edge.state
        return steps + _situation(model, last)


def _words(label: tuple[Any, ...]) -> str:
    match label:
        case (str(what), int(replica)):
            return f"replica {replica}: {what}"
        case (str(what), int(replica), str() | int() as how):
            return f"replica {replica}: {what} {how}"
        case (str(what), int(replica), call, *rest):
            shown = f" ({rest[0]} shown)" if rest else ""
            return f"replica {replica}: {what}: {_call(call)}{shown}"
        case _:
            return " ".join(map(str, label))


def _call(call: Any) -> str:
    match call:
        case calls.WriteIntent():
            return f"WriteIntent, {call.purpose}"
        case calls.SaveStatus():
            return f"SaveStatus, {call.status.phase}, recorded {call.status.remote_id}"
        case calls.Remove() | calls.Confirm():
            return f"{type(call).__name__} {call.id}"
        case _:
            return type(call).__name__


def _situation(model: Model, state: Any) -> list[str]:
    newest = model.newest(state)
    if newest is None:
        lines = ["     the resource is gone"]
    else:
        status = model.passes.statuses[newest.status]
        lines = [f"     the resource: uid-{newest.uid}, generation {newest.generation}, "
                 f"{'deleting, ' if newest.deleting else ''}{status.phase}, recorded {status.remote_id}, "
                 f"condemned {list(status.operator.condemned)}"]
    return lines + [f"     {one.record.id}: {one.record.state.value}, of uid-{one.uid}, wish {one.wish}"
                    for one in model.remotes(state)] + ["     a create is on its way" for _ in state.flights]
