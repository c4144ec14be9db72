"""The fingerprint of a deployment's configuration, by which a record without a token is recognised."""

from __future__ import annotations

import hashlib
import json

from agentex_operator.core import reasons, yaml_text
from agentex_operator.core.errors import InvalidInput


def configuration_fingerprint(manifest_text: str, environments_text: str) -> str:
    """sha256 (hex) of the values in the two YAML texts, whatever their comments, order of keys and style. Never raises.

    A text that is not usable YAML is digested as it is written.
    """
    values = [_value(manifest_text), _value(environments_text)]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _value(text: str) -> object:
    try:
        return {"yaml": _canonical(yaml_text.load(text, reasons.INVALID_MANIFEST, ""))}
    except InvalidInput:
        return {"text": text}


def _canonical(value: object) -> object:
    """The value as JSON can express it; different keys stay different."""
    if isinstance(value, dict):
        return {json.dumps(key, default=str): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value
