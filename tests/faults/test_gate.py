"""The gate of the fault programme: a few plans of every family, in every run of the tests.

The whole is `make test-faults`; one plan again is `.venv/bin/python -m tests.faults --replay NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults import run
from tests.faults.plans import Scale
from tests.faults.report import told
from tests.faults.site import site_of

from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.installation import Installation, installed

GATE = Scale(gate=True)
FAMILIES = [name for name, family in run.families({}).items() if name not in run.LEARN and any(family.batches(GATE))]


@pytest.fixture(scope="module")
def installation(cluster: ClusterUnderTest) -> Iterator[Installation]:
    """Everything an administrator installs."""
    with installed(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def crew(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[run.Crew]:
    """The workers, who know what each scenario does without faults."""
    folder: Path = tmp_path_factory.mktemp("faults")
    with run.crew(site_of(installation, folder)) as found:
        wrong = [told(one) for one in found.learn(run.GATE) if one.findings]
        assert not wrong, "\n".join(wrong)
        yield found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", ["crash", "stops", "views", "answers", "replicas", "outages", *FAMILIES])
def test_what_goes_wrong_breaks_no_promise(crew: run.Crew, family: str) -> None:
    ended = list(crew.run(crew.batches([family], GATE)))

    assert sum(one.reached for one in ended) > 0.9 * len(ended)  # a call may come or not, where timing decides
    assert not [one for one in ended if one.findings], "\n".join(told(one) for one in ended if one.findings)
