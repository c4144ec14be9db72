"""Finds the calls of parsers that are not ours in the source of the operator, and which of them `core/guard.py` guards.

A call is guarded if it stands inside `with guard.raising(...)`, in a function that is handed to `guard.result` or
`guard.or_none`, or in a private function of which every use in its module is guarded.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.house.tree import OPERATOR

# Modules with functions that read text or bytes from outside. Each call of such a module counts, unless it is HARMLESS.
PARSERS = frozenset({"aiohttp", "base64", "binascii", "datetime", "email", "fnmatch", "gzip", "httpx", "ipaddress",
                     "json", "kubernetes", "pydantic", "re", "ssl", "struct", "tarfile", "urllib", "yaml", "zlib"})
# Modules that read nothing from outside; a module in neither set fails the test, so that it is sorted in when it comes.
NO_PARSERS = frozenset({
    "__future__", "abc", "agentex_operator", "array", "asyncio", "bisect", "collections", "contextlib", "contextvars",
    "dataclasses", "enum", "errno", "fcntl", "functools", "hashlib", "heapq", "http", "importlib", "itertools",
    "logging", "math", "operator", "os", "pathlib", "random", "shutil", "signal", "socket", "sys", "tempfile",
    "threading", "time", "traceback", "typing", "uuid",
    "click", "kopf",  # frameworks that call the operator, and parse flags and watch events before they do
})
HARMLESS = {
    "aiohttp.web.Application": "a server of our own", "aiohttp.web.AppRunner": "a server of our own",
    "aiohttp.web.TCPSite": "a server of our own", "aiohttp.web.json_response": "writes",
    "aiohttp.web.get": "a route of our own", "aiohttp.web.Response": "writes", "aiohttp.ClientTimeout": "of constants",
    "base64.b64encode": "bytes to bytes", "base64.urlsafe_b64encode": "bytes to bytes",
    "datetime.datetime.now": "the clock's", "datetime.datetime": "of constants", "datetime.timedelta": "of numbers",
    "fnmatch.translate": "any text",
    "gzip.GzipFile": "writes", "tarfile.open": "writes", "tarfile.TarInfo": "writes",
    "httpx.AsyncClient": "of constants", "httpx.AsyncHTTPTransport": "of constants", "httpx.Timeout": "of numbers",
    "httpx.Limits": "of numbers", "httpx.ConnectError": "an exception", "httpx.ProxyError": "an exception",
    "ipaddress.IPv4Address": "of an int of 32 bits",
    "json.dumps": "writes values that were read before",
    "kubernetes.aio.client.configuration.Configuration": "of nothing",
    "kubernetes.aio.client.api_client.ApiClient": "of a configuration that was read before",
    "pydantic.model_validator": "declares", "pydantic.BeforeValidator": "declares",
    "pydantic.TypeAdapter": "declares", "pydantic.ConfigDict": "declares",
    "pydantic.alias_generators.to_camel": "any text",
    "re.compile": "of escaped text", "re.escape": "any text", "re.findall": "of a constant", "re.sub": "of a constant",
    "re.fullmatch": "of a constant", "re.split": "of a constant",
    "urllib.parse.quote": "any text of UTF-8", "urllib.parse.quote_plus": "any text of UTF-8",
    "urllib.parse.unquote": "any text",
    "zlib.decompressobj": "of a constant",
}
OF_THE_API = "agentex_operator.api."  # the models there raise what pydantic raises, so their `parse` is a parser too
METHODS = frozenset({"aiter_bytes", "aiter_raw", "astimezone", "build_request", "call_api", "construct_document",
                     "construct_object", "decode", "decompress", "encode", "fromisoformat", "fromtimestamp",
                     "get_single_node", "hostname", "load_verify_locations", "model_validate", "param_serialize",
                     "strptime", "validate_json", "validate_python"})
TOLERANT = frozenset({"replace", "ignore", "surrogatepass"})  # how encode and decode treat what does not fit
GUARDS = frozenset({"guard.raising", "guard.result", "guard.or_none"})


@dataclass(frozen=True, order=True)
class ParserCall:
    """A call of a parser: in which file and function, and of what."""

    file: str
    function: str
    parser: str


@dataclass
class Module:
    """One module: its imports by local name, the parent of each node, and the private functions that are guarded."""

    path: Path
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    guarded: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path, text: str | None = None) -> Module:
        module = cls(path, ast.parse(path.read_text() if text is None else text))
        for node in ast.walk(module.tree):
            module.parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))
            module.names.update(_imported(node))
        module._find_guarded_functions()
        return module

    @property
    def roots(self) -> set[str]:
        """The top-level modules that it imports."""
        return {name.partition(".")[0] for name in self.names.values()}

    def unguarded(self) -> Iterator[ParserCall]:
        """The calls of parsers outside of the guard; code that runs at import reads constants only."""
        for node in ast.walk(self.tree):
            parser = self._parser(node)
            function = self._function_of(node)
            if parser is not None and function is not None and not self._is_guarded(node):
                yield ParserCall(str(self.path.relative_to(OPERATOR)), function.name, parser)

    def _find_guarded_functions(self) -> None:
        """Add private functions until no other has guarded uses only."""
        private, uses = set(), defaultdict(list)
        for node in ast.walk(self.tree):
            uses[_used(node)].append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("_"):
                private.add(node.name)
        while found := {name for name in private - self.guarded
                        if uses[name] and all(map(self._is_guarded, uses[name]))}:
            self.guarded |= found

    def _is_guarded(self, node: ast.AST) -> bool:
        return any(self._guards(around, within) for within, around in self._upwards(node))

    def _guards(self, around: ast.AST, within: ast.AST) -> bool:
        if isinstance(around, ast.With | ast.AsyncWith):
            return within in around.body and any(self._is_guard(item.context_expr) for item in around.items)
        if isinstance(around, ast.Call):
            return self._is_guard(around) and within in around.args[:1]
        return isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and around.name in self.guarded

    @staticmethod
    def _is_guard(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and ast.unparse(node.func) in GUARDS

    def _upwards(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        while (around := self.parents.get(node)) is not None:
            yield node, around
            node = around

    def _function_of(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        around = (one for _, one in self._upwards(node) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
        return next(around, None)

    def _parser(self, node: ast.AST) -> str | None:
        """The parser that this node calls, or hands to `map`; None for any other node."""
        if isinstance(node, ast.Attribute) and node.attr == "hostname":
            return "hostname"
        if not isinstance(node, ast.Call):
            return None
        called = node.args[0] if ast.unparse(node.func) == "map" else node.func
        return self._by_name(called) or _by_method(node) or _by_builtin(node)

    def _by_name(self, called: ast.expr) -> str | None:
        head, _, rest = ast.unparse(called).partition(".")
        if not all(part.isidentifier() for part in (head, *filter(None, rest.split(".")))):
            return None  # a method of what another call answers
        name = ".".join(filter(None, (self.names.get(head, ""), rest)))
        if name.startswith(OF_THE_API) and name.endswith(".parse"):
            return name.removeprefix(OF_THE_API)
        return name if name.partition(".")[0] in PARSERS and name not in HARMLESS else None


def _imported(node: ast.AST) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {(one.asname or one.name).partition(".")[0]: one.name if one.asname else one.name.partition(".")[0]
                for one in node.names}
    if isinstance(node, ast.ImportFrom):
        return {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return {}


def _used(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _by_method(call: ast.Call) -> str | None:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in METHODS:
        return None
    texts = {value.value for value in (*call.args, *(one.value for one in call.keywords))
             if isinstance(value, ast.Constant)}
    return None if texts & TOLERANT else call.func.attr


def _by_builtin(call: ast.Call) -> str | None:
    named = isinstance(call.func, ast.Name) and call.func.id in ("int", "float") and call.args
    return call.func.id if named and isinstance(call.func, ast.Name) else None


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the operator but the guard itself."""
    return tuple(Module.read(path) for path in sorted(OPERATOR.rglob("*.py")) if path.name != "guard.py")
