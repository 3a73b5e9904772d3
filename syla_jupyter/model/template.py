"""A template: an image definition and how its kernel starts.

Two kinds of kernel: a **zygote** kernel (Python; forked from an interpreter that has already imported
ipykernel and the preload list) and an **argv** kernel (any other; its command runs with `{connection_file}`
filled in). Files are TOML: the package's own in `runtimes/templates/`, a user's in `<data>/templates/`, the
user's winning by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-\[\],<>=!~;: '\"+]{0,199}")
MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class Template:
    name: str
    display_name: str
    language: str
    packages: tuple[str, ...] = ()
    """pip requirements put into the image."""
    debian_packages: tuple[str, ...] = ()
    base: str = ""
    """Image to build from; empty: a Python base of ours (registry, else debootstrap)."""
    image: str = ""
    """Image to use as it is, nothing built; empty: built from `base` and `packages`."""
    kernel_argv: tuple[str, ...] = ()
    """Command of an argv kernel; empty: a zygote kernel."""
    preload: tuple[str, ...] = ()
    """Modules imported in the zygote, shared by all kernels of a container."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"template name {self.name!r}: use lower-case letters, digits, '.', '_' and '-', at most 40"
            )
        for package in self.packages:
            if not PACKAGE.fullmatch(package):
                raise ValueError(f"packages: {package!r} is not a pip requirement such as 'polars>=1'")
        for package in self.debian_packages:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,99}", package):
                raise ValueError(f"debian_packages: {package!r} is not the name of a Debian package")
        for module in self.preload:
            if not MODULE.fullmatch(module):
                raise ValueError(f"preload: {module!r} is not the name of a module such as 'pandas'")

    @property
    def has_zygote(self) -> bool:
        return not self.kernel_argv
