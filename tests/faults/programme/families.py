"""Every family of plans by name, and which of them need the scenarios to be recorded without faults first."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults.fuzz.family import Fuzz
from tests.faults.hostile.family import Hostile
from tests.faults.load.family import Load
from tests.faults.programme.plans import Family
from tests.faults.remote.family import Remote
from tests.faults.scenarios import answers, crash, exceptions, replicas, stops, views
from tests.faults.scenarios.answers import Answers
from tests.faults.scenarios.config_maps import ConfigMaps
from tests.faults.scenarios.crash import Crash, Doubles
from tests.faults.scenarios.exceptions import Exceptions
from tests.faults.scenarios.outages import Outages
from tests.faults.scenarios.reference import Reference
from tests.faults.scenarios.replicas import Replicas
from tests.faults.scenarios.stops import Stops
from tests.faults.scenarios.undone_writes import UndoneWrites
from tests.faults.scenarios.views import Views
from tests.faults.transitions.family import Transitions

# The families whose plans are made from what each scenario does without faults:
REFERENCE_FAMILIES = {"crash", "doubles", "stops", "views", "answers", "exceptions", "replicas",
                      "outages"}
# The scenarios that these families run in the gate:
GATE_SCENARIOS = tuple(sorted({*crash.GATE, *stops.GATE, *answers.GATE,
                     *(plan.split("/")[1] for plan in exceptions.GATE), *(name for name, _ in views.GATE),
                     *(plan.partition("/")[0] for plan in replicas.GATE)}))


def families(found: dict[str, Reference]) -> dict[str, Family]:
    """Every family, by name."""
    with_references: tuple[Family, ...] = (Crash(found), Doubles(found), Stops(found), Views(found), Answers(found),
                                         Exceptions(found), Replicas(found), Outages(found))
    every = (*with_references, ConfigMaps(), UndoneWrites(), Remote(), Transitions(), Fuzz(), Hostile(), Load())
    return {family.name: family for family in every}


def needs_references(wanted: Iterable[str]) -> bool:
    """Whether the plans of any of these families are made from the references."""
    return bool(REFERENCE_FAMILIES & set(wanted))
