"""The health check for Argo CD in docs/status.md says of each phase what Flux computes from the conditions."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime
from tests.house.tree import ROOT

_FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def the_check() -> str:
    """The Lua text in the ConfigMap that docs/status.md shows."""
    documents = [yaml.safe_load(one) for one in _FENCE.findall((ROOT / "docs" / "status.md").read_text())]
    found = next(one for one in documents if one["metadata"]["name"] == "argocd-cm")
    customizations = yaml.safe_load(found["data"]["resource.customizations"])
    text: str = customizations["agentex.scale.com/*"]["health.lua"]
    return text


def health(obj: dict[str, Any]) -> tuple[str, str | None]:
    """The health and its message that Argo CD shows; it runs Lua 5.1 too."""
    lua = LuaRuntime()
    lua.globals().obj = lua.table_from(obj, recursive=True)
    found = lua.execute(the_check())
    return found.status, found.message


def an_object(*conditions: str, generation: int = 2, observed: int = 2, **spec: bool) -> dict[str, Any]:
    """An object with these conditions, each given as TYPE=STATUS."""
    made = [{"type": kind, "status": status, "reason": "R", "message": f"of {kind}"}
            for kind, status in (one.split("=") for one in conditions)]
    return {"metadata": {"generation": generation}, "spec": spec,
            "status": {"observedGeneration": observed, "conditions": made}}


@pytest.mark.parametrize(("obj", "expected"), [
    ({"metadata": {"generation": 1}, "spec": {}}, "Progressing"),
    ({"metadata": {"generation": 1}, "spec": {}, "status": {"observedGeneration": -1}}, "Progressing"),
    (an_object("Ready=True"), "Healthy"),
    (an_object("Ready=True", observed=1), "Progressing"),
    (an_object("Ready=False", "Stalled=True", observed=1), "Progressing"),
    (an_object("Ready=False", "Reconciling=True"), "Progressing"),
    (an_object("Ready=Unknown", "Reconciling=True"), "Progressing"),
    (an_object("Ready=False", "Stalled=True"), "Degraded"),
    (an_object("Ready=True", "Suspended=True", suspend=True), "Healthy"),
    (an_object("Ready=False", "Stalled=True", "Suspended=True", suspend=True), "Degraded"),
    (an_object("Ready=True", "Expired=True", "Available=False"), "Healthy"),
    (an_object("Ready=True", "Deployed=True", "Available=True", "BuildReady=True"), "Healthy"),
])
def test_argo_cd_sees_the_health_that_the_conditions_say(obj: dict[str, Any], expected: str) -> None:
    assert health(obj)[0] == expected


def test_argo_cd_shows_the_message_of_the_condition_that_decides() -> None:
    shown = [health(an_object(*conditions))[1] for conditions in (
        ["Ready=False", "Stalled=True"], ["Ready=False", "Reconciling=True"], ["Ready=True"])]

    assert shown == ["of Stalled", "of Reconciling", "of Ready"]
