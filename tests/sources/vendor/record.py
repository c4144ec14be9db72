"""Record what the vendor's packager makes of an agent's directory: contexts.json beside this file.

agentex-sdk needs an older Kubernetes client than the operator, and some 800 MB. So the tests do not install it: they
compare with this record. Make it anew with a virtual environment of the vendor's own, Python 3.12 or later:

    python3.13 -m venv /tmp/vendor && /tmp/vendor/bin/pip install agentex-sdk==0.28.4
    /tmp/vendor/bin/python tests/sources/vendor/record.py

The scaffolds are those of `agentex init`; of their files only the two that the packager reads keep their content.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from agentex.lib.cli.commands.init import TemplateType, create_project_structure, get_project_context
from agentex.lib.sdk.config.agent_manifest import build_context_manager, load_agent_manifest
from agentex.lib.utils.build_provenance import iter_context_files, working_tree_hash

READ = {"manifest.yaml", ".dockerignore"}
SCAFFOLDS = {"sync": True, "default": False, "temporal": True}  # by template; whether with uv
AGENT = "agent: {name: quote, acp_type: sync, description: d}\n"


def a_manifest(root: str, include: str, dockerfile: str, ignore: str) -> str:
    context = f"{{root: {root}, include_paths: {include}, dockerfile: {dockerfile}, dockerignore: {ignore}}}"
    return f"build: {{context: {context}}}\n{AGENT}"


# By name: the agent's directory in the developer's tree, and its files. `*`: executable. `-> `: a symbolic link.
LAYOUTS = {
    "deeper": ("agents/quote", {
        "manifest.yaml": a_manifest("../../", "[agents/quote]", "agents/quote/Dockerfile",
                                    "agents/quote/.dockerignore"),
        "Dockerfile": "FROM x\n", ".dockerignore": "*.log\n__pycache__/\ntests\n", "a.log": "", "run*": "#!/bin/sh\n",
        "project/acp.py": "print()\n", "project/__pycache__/acp.pyc": "x", "tests/t.py": "", "a-b": "z", "a/b": "é"}),
    "a part": ("quote", {
        "manifest.yaml": a_manifest("..", "[quote/project, quote/lib]", "quote/docker/File", "quote/gone"),
        "docker/File": "FROM y\n", "project/acp.py": "", "lib/l.py": "", "notes": "not sent"}),
    "everything": ("quote", {
        "manifest.yaml": a_manifest("../", "[.]", "quote/Dockerfile", "null"), "Dockerfile": "FROM z\n", "b*": "#!"}),
    "links": ("quote", {
        "manifest.yaml": a_manifest("../", "[quote]", "quote/Dockerfile", "null"), "Dockerfile": "-> docker/File",
        "docker/File": "FROM l\n", "project/own": "-> ../../quote/lib", "lib/l.py": "l", "copy": "-> lib/l.py"}),
}


def main() -> None:
    contexts = {}
    for template, with_uv in SCAFFOLDS.items():
        with tempfile.TemporaryDirectory() as top:
            answers = {"agent_directory_name": "quote-bot", "agent_name": "quote-bot", "description": "d",
                       "use_uv": with_uv}
            told = get_project_context(answers, Path(top), Path(top))
            create_project_structure(Path(top), told, TemplateType(template), with_uv)
            for path in Path(top).rglob("*"):
                if path.is_file() and path.name not in READ:
                    path.write_text(f"{path.name}\n")
            contexts[f"agentex init, {template}"] = recorded(Path(top) / "quote_bot")
    for name, (place, files) in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as top:
            write(Path(top) / place, files)
            contexts[name] = recorded(Path(top) / place)
    found = {"made with": f"agentex-sdk {version('agentex-sdk')}", "contexts": contexts}
    Path(__file__).with_name("contexts.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def write(directory: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = directory / name.rstrip("*")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_text(content)
            path.chmod(0o755 if name.endswith("*") else 0o644)


def recorded(directory: Path) -> dict[str, object]:
    """The files of the agent's directory, and the paths and the hash of the context that the vendor stages."""
    manifest = load_agent_manifest(str(directory / "manifest.yaml"))
    root = (directory / manifest.build.context.root).resolve()
    with build_context_manager(manifest, root) as staged:
        paths = [path.relative_to(staged.path).as_posix() for path in iter_context_files(staged.path)]
        digest = working_tree_hash(staged.path)
    return {"files": dict(sorted(read(directory).items())), "paths": paths, "working_tree_hash": digest}


def read(directory: Path) -> dict[str, str]:
    files = {}
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            files[name] = f"-> {path.readlink()}"
        elif path.is_file():
            files[name + "*" * bool(path.stat().st_mode & 0o100)] = path.read_text()
    return files


if __name__ == "__main__":
    main()
