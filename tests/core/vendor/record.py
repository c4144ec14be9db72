"""Record what the vendor's models read of texts, whole and as the operator sends them: environments.json.

agentex-sdk needs an older Kubernetes client than the operator, and some 800 MB. So the tests do not install it: they
compare with this record. When texts.py or the cut changed, make it anew from the root of the repository, with a virtual
environment of the vendor's own (Python 3.12 or later; the operator's core runs there too):

    python3.13 -m venv /tmp/vendor && /tmp/vendor/bin/pip install agentex-sdk==0.28.4
    PYTHONPATH=operator:. /tmp/vendor/bin/python -m tests.core.vendor.record
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from agentex.lib.sdk.config.agent_manifest import load_agent_manifest
from agentex.lib.sdk.config.environment_config import load_environments_config
from tests.core.vendor import texts

from agentex_operator.core import environments, ownership
from agentex_operator.core.errors import InvalidInput


def main() -> None:
    cut = [read_twice(text, name) for text, name in texts.environments()]
    marked = [manifest_twice(text) for text in texts.manifests()]
    found = {"made with": f"agentex-sdk {version('agentex-sdk')}", "corpus": texts.digest(), "environments": cut,
             "manifests": marked}
    Path(__file__).with_name("environments.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def read_twice(text: str, name: str) -> dict[str, object]:
    """What the vendor reads of the whole text for this environment, what is sent, and what the vendor reads of that."""
    try:
        sent = environments.render_environments(text, name)
    except InvalidInput as error:
        return {"sent": None, "refusal": error.message, "whole": of_environment(text, name)}
    return {"sent": sent, "whole": of_environment(text, name), "cut": of_environment(sent, name)}


def of_environment(text: str, name: str) -> str:
    """The digest of the chosen environments, as the vendor's models have them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "environments.yaml"
        path.write_bytes(text.encode())
        try:
            found = load_environments_config(str(path)).get_configs_for_env(name)
        except ValueError as error:
            return f"refused: {type(error).__name__}"
    return digest_of({key: one.model_dump() for key, one in found.items()})


def manifest_twice(text: str) -> dict[str, object]:
    """What the vendor reads of a manifest, what is sent, and what the vendor reads of that."""
    sent = ownership.with_token(text, texts.OWNER)
    return {"sent": sent, "whole": of_manifest(text), "cut": of_manifest(sent)}


def of_manifest(text: str) -> str:
    """The digest of a manifest, as the vendor's model has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.yaml"
        path.write_bytes(text.encode())
        return digest_of(load_agent_manifest(str(path)).model_dump())


def digest_of(value: object) -> str:
    """The digest of values with their types: 1 is not '1', nor True."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


if __name__ == "__main__":
    main()
