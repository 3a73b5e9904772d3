"""The kernelspec of a template: what makes its kernel appear in launchers as `syla-<template>`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

from ..model.template import Template


def kernelspec(template: Template) -> dict[str, Any]:
    argv = list(template.kernel_argv) or ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return {
        "argv": argv,
        "display_name": template.display_name,
        "language": template.language,
        "interrupt_mode": "signal",
        "metadata": {
            "debugger": template.has_zygote,
            "kernel_provisioner": {
                "provisioner_name": "syla-provisioner",
                "config": {"template": template.name},
            },
        },
    }


def install_kernelspec(template: Template, prefix: str) -> Path:
    """Write it beside the one that came with the package, or into the user's data directory where that is not ours.

    Gives its directory. The built-in template's own kernelspec is part of the package and left alone.
    """
    name = f"syla-{template.name}"
    packaged = Path(prefix) / "share" / "jupyter" / "kernels"
    if (packaged / name / "kernel.json").exists():
        return packaged / name
    parent = packaged if os.access(packaged, os.W_OK) else Path(jupyter_data_dir()) / "kernels"
    directory = parent / name
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / ".kernel.json.new"
    fresh.write_text(json.dumps(kernelspec(template), indent=2) + "\n")
    fresh.rename(directory / "kernel.json")
    return directory
