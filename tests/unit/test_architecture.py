"""The house rules that import-linter cannot express."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "syla_jupyter"
LINES_MAX, FUNCTION_MAX = 400, 60
SOURCES = sorted(PACKAGE.rglob("*.py"))
RUNS_IN_THE_KERNEL = {"spare.py", "zygote.py", "offline.py", "replies.py"}  # these import what the image has


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_small_and_say_their_theory(path: Path) -> None:
    """Each file opens with a docstring and holds one idea: at most 400 lines, functions at most 60."""
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} does not open with its theory"
    assert len(text.splitlines()) <= LINES_MAX
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_MAX, f"{path}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", sorted((PACKAGE / "agent").glob("*.py")), ids=lambda p: p.name)
def test_the_agent_needs_nothing_but_the_standard_library(path: Path) -> None:
    """In a container without any of our packages the agent runs: it imports the standard library and itself."""
    for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            allowed = top in sys.stdlib_module_names
            if path.name in RUNS_IN_THE_KERNEL:
                allowed = allowed or top in {"ipykernel", "zmq", "jupyter_client", "tornado"}
            assert allowed, f"{path.name} imports {name}"


def test_nothing_reads_the_environment_at_import() -> None:
    """`os.environ` is read inside functions only."""
    for path in SOURCES:
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for node in ast.walk(statement):
                read = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
                assert not read, f"{path}:{node.lineno} reads the environment"


def test_the_command_line_loads_only_what_a_command_needs() -> None:
    """Every script that runs in a container would wait for the rest; each takes a tenth of a second, or more."""
    code = "import sys, syla_jupyter.cli.main, syla_jupyter.cli.execute; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(ended.stdout.split())
    assert not loaded & {"boto3", "cryptography", "docker", "jupyter_client", "requests", "rich", "sqlalchemy", "zmq"}
    assert not {name for name in loaded if name.startswith(("syla_jupyter.snapshots", "syla_jupyter.server"))}
    assert "syla_jupyter.workspaces.registry" not in loaded


def test_the_repository_names_no_registry_host() -> None:
    """Registries are used by their clients' own settings; no host name of one stands in a file."""
    names = [
        ".".join(parts) for parts in (("pypi", "org"), ("docker", "io", ""), ("registry", "npmjs"), ("deb", "debian"))
    ]
    for path in [*ROOT.glob("*.toml"), *ROOT.glob("scripts/*"), *PACKAGE.rglob("*")]:
        if path.is_file() and path.suffix not in {".pyc"} and "_labextension" not in path.parts:
            text = path.read_text(errors="replace")
            for name in names:
                assert f"{name}/" not in text, f"{path} names {name}"
