"""What the model searches, once with the real shell: an account is taken away in each way, and is put right again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentex_operator.kube.kinds import SECRET
from agentex_testkit.api_server import Object, says
from agentex_testkit.builders import a_secret, an_account, an_image
from agentex_testkit.harness import Harness

KIND, NAME, SYSTEM = "ClusterAgentexAccount", "main", "agentex-system"
Act = Callable[[Harness], object]


def main(harness: Harness, **spec: object) -> Object:
    """The account of this test; another default stands beside it."""
    return an_account(harness.simulator.url, NAME, KIND, default=True, **spec)


def deleted(harness: Harness) -> None:
    harness.take_away(KIND, NAME)


def another(harness: Harness) -> None:
    harness.take_away(KIND, NAME)
    harness.apply(main(harness, accountID="acct-2"))


def forbidden(harness: Harness) -> None:
    harness.edit(KIND, NAME, spec={"namespaceSelector": {"matchLabels": {"team": "another"}}})


def without_key(harness: Harness) -> None:
    harness.cluster.remove(SECRET, SYSTEM, "agentex")


def made_anew(harness: Harness) -> None:
    if harness.get(KIND, NAME) is not None:
        harness.take_away(KIND, NAME)
    harness.apply(main(harness))


def allowed(harness: Harness) -> None:
    harness.edit(KIND, NAME, spec={"namespaceSelector": None})


def with_key(harness: Harness) -> None:
    harness.cluster.create(a_secret(), SYSTEM)


TROUBLES = {
    "it is deleted": (deleted, "AccountNotFound", made_anew),
    "it becomes another": (another, "AccountChanged", made_anew),
    "it is forbidden": (forbidden, "AccountNotAllowed", allowed),
    "it loses its key": (without_key, "AccountNotReady", with_key),
}


@pytest.mark.parametrize(("happens", "reason", "restored"), TROUBLES.values(), ids=TROUBLES)
async def test_a_bound_build_waits_for_its_account_and_goes_on_by_itself(
    bare: Harness, happens: Act, reason: str, restored: Act
) -> None:
    bare.cluster.create(a_secret(), SYSTEM)
    bare.cluster.create(a_secret("second", "key-2"), SYSTEM)
    bare.simulator.set_keys("acct-2", "key-2")
    second = {"accountID": "acct-2", "apiKeySecretRef": {"name": "second", "key": "api-key"}}
    bare.apply(main(bare), an_account(bare.simulator.url, "other", KIND, default=True, **second))
    await bare.wait(KIND, NAME)
    await bare.wait(KIND, "other")
    bare.apply(an_image())
    await bare.wait("AgentBuild", "quote")
    owner = bare.owner("AgentBuild", "quote")

    happens(bare)
    waiting = await bare.wait("AgentBuild", "quote", says("Ready", "False", reason))
    restored(bare)
    went_on = await bare.wait("AgentBuild", "quote")

    assert waiting["status"]["account"] == went_on["status"]["account"]
    assert went_on["status"]["account"]["accountID"] == "acct-1"
    assert (bare.creates(owner), len(bare.remotes(owner))) == (1, 1)
