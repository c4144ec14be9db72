"""Every scenario by name, with what the judge is to expect of it."""

from __future__ import annotations

from tests.faults.scenarios import adoptions, builds, deployments
from tests.faults.scenarios.scenario import BUILD, DEPLOYMENT, Scenario

TWICE = {(BUILD, "quote"): 2}
DEPLOYED_TWICE = {(DEPLOYMENT, "quote"): 2}
OF_OUR_OWN = (
    Scenario("build-runs", builds.a_build_runs),
    Scenario("build-succeeds", builds.a_build_succeeds),
    Scenario("build-fails", builds.a_build_fails),
    Scenario("build-pinned", builds.a_tag_is_pinned),
    Scenario("build-registered", builds.an_image_is_registered),
    Scenario("build-edited-queued", builds.edited_while_queued, TWICE),
    Scenario("build-edited-running", builds.edited_while_running, TWICE),
    Scenario("build-edited-finished", builds.edited_when_finished, TWICE),
    Scenario("build-context-changes", builds.the_context_changes, TWICE),
    Scenario("build-cancelled", builds.cancelled),
    Scenario("build-deleted-at-once", builds.deleted_at_once),
    Scenario("build-deleted-creating", builds.deleted_while_creating),
    Scenario("build-deleted-queued", builds.deleted_while_queued),
    Scenario("build-deleted-running", builds.deleted_while_running),
    Scenario("build-deleted-finished", builds.deleted_when_finished),
    Scenario("build-deleted-cancelling", builds.deleted_while_cancelling),
    Scenario("build-recreated", builds.recreated),
    Scenario("build-name-taken", builds.the_name_is_taken),
    Scenario("build-name-hidden", builds.the_name_is_taken_invisibly, never_rests=True),
    Scenario("build-key-rotated", builds.the_key_is_rotated, TWICE),
    Scenario("build-account-made", builds.an_account_is_made),
    Scenario("build-five-megabytes", builds.five_megabytes_are_sent),
    Scenario("deployment-healthy", deployments.a_deployment_gets_healthy),
    Scenario("deployment-of-a-build", deployments.a_build_is_deployed),
    Scenario("deployment-follows", deployments.a_deployment_follows, {(BUILD, "quote"): 2, (DEPLOYMENT, "quote"): 3}),
    Scenario("deployment-fails", deployments.a_rollout_fails),
    Scenario("deployment-edited", deployments.production_is_edited, DEPLOYED_TWICE),
    Scenario("deployment-edited-rolling", deployments.edited_during_the_rollout, DEPLOYED_TWICE),
    Scenario("deployment-deleted", deployments.production_is_deleted),
    Scenario("deployment-deleted-rolling", deployments.deleted_during_the_rollout),
    Scenario("deployment-recreated", deployments.a_deployment_is_recreated),
    Scenario("preview-healthy", deployments.a_preview_gets_healthy),
    Scenario("preview-edited", deployments.a_preview_is_edited, DEPLOYED_TWICE),
    Scenario("preview-expires", deployments.a_preview_expires, swept=True),
    Scenario("preview-expires-and-goes", deployments.a_preview_goes_when_it_expires, swept=True),
    Scenario("preview-deleted", deployments.a_preview_is_deleted),
    Scenario("preview-deleted-creating", deployments.a_preview_is_deleted_while_created),
)
OF_ANOTHER = (   # a resource takes over the remote object of another one
    Scenario("adopt-build-finished", adoptions.a_finished_build_is_adopted),
    Scenario("adopt-build-running", adoptions.a_running_build_is_adopted),
    Scenario("adopt-production", adoptions.production_of_a_stranger_is_adopted),
    Scenario("adopt-preview", adoptions.a_preview_is_adopted),
    Scenario("adopt-rivals", adoptions.two_adopt_one_preview, rivals=adoptions.RIVALS),
    Scenario("adopt-refused", adoptions.what_is_named_cannot_be_adopted),
    Scenario("restore-build-running", adoptions.a_running_build_is_restored),
    Scenario("restore-production", adoptions.production_is_restored),
    Scenario("restore-preview-gone", adoptions.a_preview_that_is_gone_is_restored, {(DEPLOYMENT, "quote"): 1}),
)
SCENARIOS = {scenario.name: scenario for scenario in (*OF_OUR_OWN, *OF_ANOTHER)}
