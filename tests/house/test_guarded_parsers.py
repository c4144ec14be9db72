"""No exception of a parser that is not ours escapes: each call is behind `core/guard.py`, or cannot raise."""

from __future__ import annotations

from tests.house.parser_calls import NO_PARSERS, PARSERS, Module, ParserCall, modules
from tests.house.tree import OPERATOR

# The calls that need no guard, each with the reason why no exception of it can reach a pass.
ALLOWED: dict[ParserCall, str] = {
    ParserCall("agentex/answers.py", "retry_after", "float"): "a pattern allows at most 9 digits twice",
    ParserCall("agentex/client.py", "_body", "astimezone"): "the time is in UTC since it was read",
    ParserCall("agentex/logstream.py", "_read_line", "encode"): "one_line replaces what UTF-8 cannot express",
    ParserCall("agentex/logstream.py", "_size", "encode"): "one_line replaces what UTF-8 cannot express",
    ParserCall("agentex/wire.py", "one_line", "decode"): "of bytes that were encoded in the same expression",
    ParserCall("api/sources.py", "members", "json.loads"): "of JSON that the model wrote itself",
    ParserCall("api/crds.py", "_as_yaml", "yaml.dump"): "the command that generates the CRDs",
    ParserCall("api/metadata.py", "parse", "validate_python"): "every call of `parse` counts as a parser itself",
    ParserCall("api/scalars.py", "_as_utc", "astimezone"): "raises OverflowError only, which is caught there",
    ParserCall("api/scalars.py", "_encodable", "decode"): "of bytes that were encoded in the same expression",
    ParserCall("api/scalars.py", "duration", "float"): "a pattern allows digits only, at most 32 characters",
    ParserCall("api/scalars.py", "timestamp", "astimezone"): "the time is in UTC since it was read",
    ParserCall("core/digests.py", "digest_of", "encode"): "JSON is ASCII",
    ParserCall("core/fingerprint.py", "configuration_fingerprint", "encode"): "JSON is ASCII",
    ParserCall("core/ownership.py", "build_token", "int"): "a pattern allows at most 9 digits",
    ParserCall("core/ownership.py", "owner_of", "encode"): "uids are ASCII",
    ParserCall("core/yaml_nodes.py", "root_of", "yaml.parse"): "environments.py guards the cut of a text",
    ParserCall("health.py", "start", "int"): "the port of a server of our own",
    ParserCall("kube/events.py", "cut", "decode"): "of bytes that were encoded just before",
    ParserCall("logs.py", "_base64_cores", "decode"): "base64 is ASCII",
    ParserCall("logs.py", "_base64_encodings", "decode"): "base64 is ASCII",
    ParserCall("logs.py", "_timestamp", "datetime.datetime.fromtimestamp"): "the time of a log record",
    ParserCall("network/addresses.py", "_embedded", "int"): "of an IPv6Address",
    ParserCall("reconcile/bugs.py", "reference_of", "encode"): "of a repr of names of files and functions",
    ParserCall("reconcile/parsing.py", "metadata_of", "metadata.Meta.parse"):
        "the API server writes the metadata; what escapes is reported as InternalError",
    ParserCall("settings.py", "parse_duration", "float"): "of a flag, at the start of the operator",
    ParserCall("sources/credentials.py", "_authorization", "decode"): "base64 is ASCII",
    ParserCall("sources/credentials.py", "_authorization", "encode"): "_credential allows ASCII only",
    ParserCall("sources/packing.py", "_hash_of", "encode"): "names and links were decoded from UTF-8",
    ParserCall("sources/tarheaders.py", "_number", "int"): "octal digits only, at most 12",
    ParserCall("sources/tarheaders.py", "_record_length", "int"): "digits only, at most 32",
    ParserCall("sources/tarheaders.py", "size", "int"): "digits only, at most 20",
}


def test_every_call_of_a_parser_is_guarded_or_cannot_raise() -> None:
    found = {call for module in modules() for call in module.unguarded()}

    assert sorted(found - ALLOWED.keys()) == []


def test_every_call_that_needs_no_guard_still_exists() -> None:
    found = {call for module in modules() for call in module.unguarded()}

    assert sorted(ALLOWED.keys() - found) == []


def test_every_imported_module_is_known_to_have_parsers_or_none() -> None:
    imported = {root for module in modules() for root in module.roots}

    assert sorted(imported - PARSERS - NO_PARSERS) == []


SEEDED = '''
import json
import yaml
from json import loads as load
from urllib.parse import urlsplit
from agentex_operator.core import guard

def bare(text): return json.loads(text)
def renamed(text): return load(text)
def split(text): return urlsplit(text)
def read(model, value): return model.validate_python(value)
def number(text): return int(text)
def many(texts): return list(map(yaml.safe_load, texts))
def documented(text):
    try: return json.loads(text)
    except ValueError: return None
def guarded(text):
    with guard.raising(lambda error: error): return _inner(text)
def _inner(text): return json.loads(text)
def tolerant(text): return guard.or_none(json.loads, text)
def escaped(text):
    with guard.raising(lambda error: error): return _leaking(text)
def outside(text): return _leaking(text)
def _leaking(text): return json.loads(text)
'''


def test_the_search_finds_each_way_to_call_a_parser_outside_of_the_guard() -> None:
    found = {call.function for call in Module.read(OPERATOR / "seeded.py", SEEDED).unguarded()}

    assert found == {"bare", "renamed", "split", "read", "number", "many", "documented", "_leaking"}
