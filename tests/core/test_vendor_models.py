"""A text that goes through the operator means the same to the vendor's SDK models, as vendor/record.py recorded."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.core.vendor import texts

from agentex_operator.core.environments import render_environments
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.ownership import with_token

RECORD = json.loads((Path(__file__).parent / "vendor" / "environments.json").read_text())
ANEW = "make environments.json anew: tests/core/vendor/record.py says how"
ENVIRONMENTS = list(zip(texts.environments(), RECORD["environments"], strict=False))
STRICTER = "occurs twice in one map"  # PyYAML takes the last one, YAML 1.2 and Go readers refuse the text


def test_the_record_is_of_these_texts_and_of_the_vendor_that_the_operator_follows() -> None:
    assert RECORD["corpus"] == texts.digest(), ANEW
    assert RECORD["made with"] == "agentex-sdk 0.28.4"
    assert len(RECORD["environments"]) + len(RECORD["manifests"]) > 240


@pytest.mark.parametrize(("asked", "recorded"), ENVIRONMENTS, ids=[str(number) for number in range(len(ENVIRONMENTS))])
def test_an_environment_that_is_cut_out_is_what_the_vendors_models_read_of_the_whole(
    asked: tuple[str, str], recorded: dict[str, Any]
) -> None:
    text, environment = asked
    if recorded["sent"] is None:
        with pytest.raises(InvalidInput) as caught:
            render_environments(text, environment)
        assert recorded["whole"].startswith("refused") or STRICTER in caught.value.message
        return

    assert render_environments(text, environment) == recorded["sent"], ANEW
    assert recorded["cut"] == recorded["whole"]
    assert not recorded["cut"].startswith("refused")


def test_a_manifest_with_its_token_is_what_the_vendors_models_read_of_the_users() -> None:
    sent = [with_token(text, texts.OWNER) for text in texts.manifests()]

    assert sent == [one["sent"] for one in RECORD["manifests"]], ANEW
    assert [one["cut"] for one in RECORD["manifests"]] == [one["whole"] for one in RECORD["manifests"]]


def test_the_texts_differ_and_have_what_users_write() -> None:
    everything = [text for text, _ in texts.environments()]
    joined = "".join(everything)

    assert max(Counter(everything).values()) == 1
    assert [one for one in texts.SCALARS if one.replace("\n", "\r\n") not in joined and one not in joined] == []
    assert all(part in joined for part in ("\ufeff", "\r\n", "# about", "<<: *", "日本", "environment: some-word"))


def test_most_texts_are_accepted() -> None:
    assert sum(one["sent"] is None for one in RECORD["environments"]) < 10
