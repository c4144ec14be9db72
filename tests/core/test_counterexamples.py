"""What the model checker (tests/model) found in the production rules, each as the shortest story that leads there."""

from datetime import timedelta

import pytest
from tests.core.world import a_build, a_preview, never, script

from agentex_operator.core import plan
from agentex_operator.core.errors import Rejected, Unauthorized


def the_first_hangs_and_the_second_is_refused(world, kind, answer):
    """A create that takes effect only after its repetition got a definite no; the world when it has."""
    hanging = []
    script(world, kind, lambda call, perform: hanging.append(call) or never(call, perform))
    world.run()
    world.now += timedelta(seconds=31)
    script(world, kind, answer)
    world.run()
    world.create(hanging[0])
    world.now += timedelta(seconds=31)
    return world


@pytest.mark.parametrize("refusal", [Rejected("no", status=422), Unauthorized("the key was rotated", status=401)])
@pytest.mark.parametrize(("make", "kind", "id_field"), [
    (a_build, plan.CreateBuild, "buildID"),
    (a_preview, plan.CreateDeployment, "deploymentID"),
])
def test_what_took_effect_after_its_repetition_was_refused_is_adopted_not_removed(refusal, make, kind, id_field):
    world = the_first_hangs_and_the_second_is_refused(make(), kind, lambda _call, _perform: refusal)
    late = max(world.records)

    world.run()

    assert world.status[id_field] == late
    assert world.made(plan.Remove) == 0
