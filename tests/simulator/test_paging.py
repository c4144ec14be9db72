"""Lists, filters, order and cursors through the SDK's own iterators (agentex-api.md section 1.3)."""

from typing import Any

import pytest
from scale_gp_beta import BadRequestError, SGPClient, UnprocessableEntityError
from tests.simulator.make import ENVIRONMENT, ids, image, manifest

from agentex_simulator import SimulatorThread

NEWEST_FIRST: dict[str, Any] = {"sort_by": "created_at", "sort_order": "desc"}


@pytest.fixture
def built(client: SGPClient) -> list[str]:
    """Seven builds of one agent, oldest first."""
    first = image(client)
    return [first.id, *(image(client, agent_id=first.agent_id).id for _ in range(6))]


def test_the_default_order_is_oldest_first(client: SGPClient, built: list[str]) -> None:
    assert ids(client.build.list().items) == built


def test_newest_first_on_request(client: SGPClient, built: list[str]) -> None:
    assert ids(client.build.list(**NEWEST_FIRST).items) == built[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 10_000])
def test_the_forward_iterator_visits_every_record_once(client: SGPClient, built: list[str], limit: int) -> None:
    assert ids(client.build.list(limit=limit, **NEWEST_FIRST)) == built[::-1]


def test_has_more_is_false_exactly_on_the_last_page(client: SGPClient, built: list[str]) -> None:
    assert client.build.list(limit=6).has_more is True
    assert client.build.list(limit=7).has_more is False
    assert client.build.list(limit=6, starting_after=built[0]).has_more is False


def test_a_backward_page_is_the_items_just_before_the_cursor_in_list_order(client: SGPClient, built: list[str]) -> None:
    page = client.build.list(limit=2, ending_before=built[5])

    assert ids(page.items) == built[3:5]
    assert page.has_more is True


def test_the_backward_iterator_walks_to_the_first_record(client: SGPClient, built: list[str]) -> None:
    pages = client.build.list(limit=2, ending_before=built[-1]).iter_pages()

    assert [ids(page.items) for page in pages] == [built[4:6], built[2:4], built[0:2]]


def test_backward_in_newest_first_order(client: SGPClient, built: list[str]) -> None:
    page = client.build.list(limit=2, ending_before=built[0], **NEWEST_FIRST)

    assert ids(page.items) == [built[2], built[1]]


@pytest.mark.parametrize("limit", [0, 10_001, -1])
def test_a_limit_outside_its_range_is_invalid(client: SGPClient, limit: int) -> None:
    for resource in (client.build, client.deploy):
        with pytest.raises(UnprocessableEntityError) as refused:
            resource.list(limit=limit)
        assert isinstance(refused.value.body, dict)
        assert refused.value.body["detail"][0]["loc"] == ["query", "limit"]


def test_unknown_sorting_is_invalid(client: SGPClient) -> None:
    with pytest.raises(UnprocessableEntityError):
        client.build.list(sort_by="colour")
    with pytest.raises(UnprocessableEntityError):
        client.build.list(extra_query={"sort_order": "sideways"})


def test_an_unknown_cursor_is_refused(client: SGPClient) -> None:
    with pytest.raises(BadRequestError):
        client.build.list(starting_after="never-was")


def test_two_cursors_are_refused(client: SGPClient, built: list[str]) -> None:
    with pytest.raises(BadRequestError):
        client.build.list(starting_after=built[0], ending_before=built[3])


def test_builds_are_found_by_agent_commit_and_hash(client: SGPClient) -> None:
    one = image(client, source_commit="c1", working_tree_hash="h1")
    image(client, agent_name="other", source_commit="c2", working_tree_hash="h2")

    filters: list[dict[str, Any]] = [{"agent_name": "bot"}, {"source_commit": "c1"}, {"working_tree_hash": "h1"}]
    for wanted in filters:
        assert ids(client.build.list(**wanted).items) == [one.id]


def test_an_archived_build_is_in_no_list_but_can_be_read(
    client: SGPClient, simulator: SimulatorThread, built: list[str]
) -> None:
    simulator.actor("archive-build", id=built[3])

    assert ids(client.build.list(limit=2)) == built[:3] + built[4:]
    assert client.build.retrieve(built[3]).id == built[3]
    assert client.build.list_undeployed()[0].total_builds == 6


def test_an_archived_build_still_works_as_a_cursor(
    client: SGPClient, simulator: SimulatorThread, built: list[str]
) -> None:
    simulator.actor("archive-build", id=built[3])

    assert ids(client.build.list(starting_after=built[3]).items) == built[4:]


def test_deployments_are_found_by_agent_build_and_sanitised_label(client: SGPClient) -> None:
    other = image(client, agent_name="other")
    client.deploy.create(build_id=other.id, manifest_file=manifest("other"), environment_config=ENVIRONMENT)
    mine = image(client)
    texts: dict[str, Any] = {"manifest_file": manifest(), "environment_config": ENVIRONMENT}
    created = client.deploy.create(build_id=mine.id, preview=True, preview_label="PR #42", **texts)

    for wanted in ({"agent_name": "bot"}, {"build_id": mine.id}, {"preview_label": "pr-42"}):
        assert ids(client.deploy.list(**wanted)) == [created.id]
    assert ids(client.deploy.list(preview_label="PR #42")) == []
