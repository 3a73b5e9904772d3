"""Which workspace a kernel belongs to: pure, from what the start says.

Under a server: the default workspace of its root directory. Anywhere else: the workspace that `SYLA_WORKSPACE`
names, or an ephemeral one with the current directory in it, as `SYLA_MOUNT` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..model.errors import BadInput, BadPath
from ..model.settings import Settings
from ..model.workspace import DEFAULT_WORKSPACE, MountMode, Network, WorkspaceSpec, WorkspaceType

WORKSPACES_DIR = "workspaces"
TOO_WIDE = "holds more than a notebook's files"


def default_workspace(settings: Settings, root: Path, template: str, user_home: Path) -> tuple[WorkspaceSpec, str]:
    """The default workspace of a root directory, and a note for the log where its files are not the root itself.

    A root that is `/` or the user's home (or holds it) would hand keys and configuration to the container.
    """
    root = root.resolve()
    note, files = "", root
    masked: tuple[str, ...] = (WORKSPACES_DIR,)
    if user_home.resolve().is_relative_to(root):
        files, masked = root / WORKSPACES_DIR / DEFAULT_WORKSPACE, ()
        note = f"{root} {TOO_WIDE}: kernels see {files} instead"
    spec = WorkspaceSpec(
        # One process may serve several roots and templates: each pair is a container of its own.
        name=DEFAULT_WORKSPACE,
        type=WorkspaceType.PERSISTENT,
        template=template,
        limits=settings.limits[WorkspaceType.PERSISTENT],
        network=Network.EGRESS,
        files=files,
        home=settings.data_dir / "homes" / DEFAULT_WORKSPACE,
        masked=masked,
    )
    return spec, note


def ephemeral_workspace(
    settings: Settings, environ: Mapping[str, str], cwd: Path, kernel_cwd: Path | None, template: str
) -> WorkspaceSpec:
    """An ephemeral workspace around the current directory, or around the kernel's where that lies elsewhere."""
    text = environ.get("SYLA_MOUNT", "") or MountMode.READ_WRITE.value
    try:
        mode = MountMode(text)
    except ValueError:
        raise BadInput("SYLA_MOUNT", f"{text!r} is unknown", "Use rw, ro or none") from None
    files: Path | None = None
    if mode is not MountMode.NONE:
        files = cwd.resolve()
        if kernel_cwd is not None and not kernel_cwd.resolve().is_relative_to(files):
            files = kernel_cwd.resolve()
        if not files.is_dir():
            raise BadPath("cwd", f"{files} is not a directory", "Start from a directory that exists")
    return WorkspaceSpec(
        name="ephemeral",
        type=WorkspaceType.EPHEMERAL,
        template=template,
        limits=settings.limits[WorkspaceType.EPHEMERAL],
        network=Network.NONE,
        files=files,
        files_read_only=mode is MountMode.READ_ONLY,
        home=None,
    )


def chosen_workspace(environ: Mapping[str, str]) -> str | None:
    """The name or id in `SYLA_WORKSPACE`; None: an ephemeral one."""
    name = environ.get("SYLA_WORKSPACE", "")
    return None if name in ("", "ephemeral") else name


def kernel_environment(
    settings: Settings, kernelspec: Mapping[str, str], given: Mapping[str, str], cwd: str
) -> dict[str, str]:
    """What a kernel's environment gets: the allow-list, what its kernelspec says, and its session's name.

    `given` is the server's whole environment in most starts, secrets included: nothing else of it crosses.
    """
    allowed = {name: given[name] for name in settings.environment_allowed if name in given}
    allowed.update({name: str(value) for name, value in kernelspec.items()})
    session = given.get("JPY_SESSION_NAME")
    if session:
        allowed["JPY_SESSION_NAME"] = f"{cwd}/{Path(session).name}"
    return allowed
