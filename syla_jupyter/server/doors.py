"""Doors to the host that Jupyter opens by default, closed in one place.

What a notebook, a file beside it or a request could use to run something on the host, outside of any container:

    terminals              Jupyter's extension starts shells here: not loaded, ours takes its routes
    language servers       started here, and looked for in the files of the workspace: not loaded, nor is what asks for
                           them in pages, which would find nothing and say so
    git, nbdime            run git here, in a directory whose `.git/config` may name programs to be run: not loaded
    extension manager      installs Python packages here: read-only
    exports (nbconvert)    templates, which are programs, are read from the server's current directory, which is often
                           the workspace: never. Notebooks are not executed while they are exported, files beside them
                           not read, and what would follow a notebook to the host's files, networks or modules not
                           started: browsers, TeX, Inkscape, an exporter that the notebook names

Closed while extensions are linked, before any is loaded, whatever is configured; checked when ours is loaded, by what
the server will use. An operator who wants one of them back gives up isolation, and sets `allow_local_kernels`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from traitlets.config import Config

NOT_LOADED = ("jupyter_server_terminals", "jupyter_lsp", "jupyterlab_git", "nbdime")
OF_LANGUAGE_SERVERS = (
    "@jupyterlab/lsp-extension",
    "@jupyterlab/notebook-extension:language-server",
    "@jupyterlab/fileeditor-extension:language-server",
)
"""JupyterLab's plugins that need `jupyter_lsp`, or one another."""
EXTENSION_MANAGER = "readonly"
EXPORTS: dict[str, dict[str, Any]] = {
    "TemplateExporter": {"extra_template_basedirs": []},
    "HTMLExporter": {"embed_images": False},
    "ScriptExporter": {"enabled": False},
    "ExecutePreprocessor": {"enabled": False},
    "SVG2PDFPreprocessor": {"enabled": False},
    "PDFExporter": {"enabled": False},
    "WebPDFExporter": {"enabled": False},
    "QtPDFExporter": {"enabled": False},
    "QtPNGExporter": {"enabled": False},
}


def close_doors(serverapp: Any) -> None:
    """Call it while extensions are linked: those that are not to be loaded are marked, the others configured."""
    packages = serverapp.extension_manager.extensions
    for name in NOT_LOADED:
        if name in packages:
            packages[name].enabled = False
    for app in _managers(serverapp):
        app.extension_manager = EXTENSION_MANAGER
    serverapp.update_config(Config(EXPORTS))


def without_language_servers(hook: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> Any:
    """A `page_config_hook`."""

    def page(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        page_config = hook(handler, page_config)
        disabled = [*page_config.get("disabledExtensions", ()), *OF_LANGUAGE_SERVERS]
        return {**page_config, "disabledExtensions": list(dict.fromkeys(disabled))}

    return page


def check_doors(serverapp: Any) -> None:
    """RuntimeError that names each door that is open."""
    packages = serverapp.extension_manager.extensions
    still = [f"extension {name} is loaded" for name in NOT_LOADED if name in packages and packages[name].enabled]
    still += [
        f"{type(app).__name__}.extension_manager is {app.extension_manager!r}"
        for app in _managers(serverapp)
        if app.extension_manager != EXTENSION_MANAGER
    ]
    for section, traits in EXPORTS.items():
        for name, value in traits.items():
            if serverapp.config[section].get(name) != value:
                still.append(f"{section}.{name} is not {value!r}")
    if still:
        raise RuntimeError(f"code could run on the host: {'; '.join(still)}")


def _managers(serverapp: Any) -> Iterator[Any]:
    """Applications with an extension manager: JupyterLab's."""
    for apps in serverapp.extension_manager.extension_apps.values():
        for app in apps:
            if app.has_trait("extension_manager"):
                yield app
