"""The doors to the host, on a real server application with its real extensions, and a real exporter."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from jupyter_server.extension.manager import ExtensionManager
from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp
from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.base import ExporterDisabledError, get_exporter
from traitlets.config import Config

from syla_jupyter.server.doors import EXPORTS, NOT_LOADED, check_doors, close_doors

INSTALLED = [name for name in NOT_LOADED if name not in ("jupyterlab_git", "nbdime") or find_spec(name)]
"""What JupyterLab itself brings, and the others where they happen to be."""


@pytest.fixture
def server() -> ServerApp:
    serverapp = ServerApp()
    serverapp.extension_manager = ExtensionManager(serverapp=serverapp)
    for name in (*INSTALLED, "jupyterlab"):
        assert serverapp.extension_manager.add_extension(name, enabled=True)
    return serverapp


def lab_app(server: ServerApp) -> LabApp:
    (app,) = server.extension_manager.extension_apps["jupyterlab"]
    assert isinstance(app, LabApp)
    return app


def test_open_doors_are_named(server: ServerApp) -> None:
    """Before, every door is open, and the error names each."""
    with pytest.raises(RuntimeError) as refused:
        check_doors(server)
    for name in (*INSTALLED, "LabApp.extension_manager is 'pypi'", *EXPORTS):
        assert name in str(refused.value)


def test_closed_whatever_is_configured(server: ServerApp) -> None:
    """After, none is, though the operator's configuration says otherwise."""
    lab_app(server).extension_manager = "pypi"
    server.update_config(Config({name: {"enabled": True} for name in EXPORTS if name != "TemplateExporter"}))
    server.update_config(Config({"TemplateExporter": {"extra_template_basedirs": ["/srv"]}}))
    close_doors(server)
    check_doors(server)
    assert lab_app(server).extension_manager == "readonly"
    assert not any(server.extension_manager.extensions[name].enabled for name in INSTALLED)


@pytest.mark.parametrize(
    "opened",
    [
        lambda server: setattr(server.extension_manager.extensions["jupyter_lsp"], "enabled", True),
        lambda server: setattr(lab_app(server), "extension_manager", "pypi"),
        lambda server: server.update_config(Config({"WebPDFExporter": {"enabled": True}})),
    ],
)
def test_one_that_was_opened_again_is_found(server: ServerApp, opened: object) -> None:
    close_doors(server)
    opened(server)  # type: ignore[operator]
    with pytest.raises(RuntimeError, match=r"^code could run on the host: [^;]+$"):
        check_doors(server)


def test_a_template_in_the_current_directory(
    server: ServerApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template that lies where the server was started, as a notebook could write one, is a program of the host
    with Jupyter's defaults, and nothing with ours."""
    mark = tmp_path / "mark"
    template = tmp_path / "lab"
    template.mkdir()
    (template / "conf.json").write_text(json.dumps({"base_template": "base"}))
    program = "{{ ''.__class__.__mro__[1].__subclasses__() | length }}{{ cycler.__init__.__globals__.os.mkdir('%s') }}"
    (template / "index.html.j2").write_text(program % mark)
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    HTMLExporter(config=server.config).from_notebook_node(notebook)
    assert mark.is_dir()

    mark.rmdir()
    close_doors(server)
    html, _ = HTMLExporter(config=server.config).from_notebook_node(notebook)
    assert "Title</h1>" in html or "Title" in html
    assert not mark.exists()


def test_exports_that_start_programs_are_refused(server: ServerApp) -> None:
    close_doors(server)
    for name in ("pdf", "webpdf", "qtpdf", "qtpng"):
        with pytest.raises(ExporterDisabledError):
            get_exporter(name, config=server.config)
    assert get_exporter("html", config=server.config) is HTMLExporter
    exporter = HTMLExporter(config=Config({**server.config}))
    enabled = [p for p in exporter._preprocessors if type(p).__name__ == "ExecutePreprocessor" and p.enabled]
    assert not enabled
