"""The gate of the fault programme: a few plans of every family, in every run of the tests.

The whole is `make test-faults`; one plan again is `.venv/bin/python -m tests.faults --replay NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.programme import families, workers
from tests.faults.programme.batches import batches_of
from tests.faults.programme.control_plane import access_to
from tests.faults.programme.plans import Scale
from tests.faults.programme.report import described

from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.installation import Installation, installed

GATE = Scale(gate=True)
FAMILIES = [name for name, family in families.families({}).items()
            if name not in families.REFERENCE_FAMILIES and any(family.batches(GATE))]


@pytest.fixture(scope="module")
def installation(cluster: ClusterUnderTest) -> Iterator[Installation]:
    """Everything an administrator installs."""
    with installed(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def pool(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[workers.WorkerPool]:
    """The workers, who know what each scenario does without faults."""
    folder: Path = tmp_path_factory.mktemp("faults")
    with workers.worker_pool(access_to(installation, folder)) as found:
        recorded = [one for done in found.record_references(families.GATE_SCENARIOS) for one in done.outcomes]
        wrong = [described(one) for one in recorded if one.findings]
        assert not wrong, "\n".join(wrong)
        yield found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", ["crash", "stops", "views", "answers", "exceptions", "replicas", "outages",
                                    *FAMILIES])
def test_what_goes_wrong_breaks_no_promise(pool: workers.WorkerPool, family: str) -> None:
    batches = batches_of([family], pool.references, GATE)
    outcomes = [one for done in pool.run(batches) for one in done.outcomes]

    assert sum(one.reached for one in outcomes) > 0.9 * len(outcomes)  # a call may come or not, where timing decides
    assert not [one for one in outcomes if one.findings], "\n".join(described(one) for one in outcomes if one.findings)
