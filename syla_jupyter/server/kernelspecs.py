"""Only kernels that run in a workspace are offered, and only those can be started.

A kernelspec that names no provisioner gets ours by default, so `python3` of an existing notebook runs in a container
too. One that names another provisioner (`local-provisioner` above all) would not: it does not exist here.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

PROVISIONER = "syla-provisioner"


def runs_in_workspace(metadata: dict[str, Any] | None) -> bool:
    """Whether a kernelspec with this metadata ends up with our provisioner."""
    stanza = (metadata or {}).get("kernel_provisioner")
    return stanza is None or (isinstance(stanza, dict) and stanza.get("provisioner_name", PROVISIONER) == PROVISIONER)


class WorkspaceKernelSpecManager(KernelSpecManager):
    def find_kernel_specs(self) -> dict[str, str]:
        specs: dict[str, str] = super().find_kernel_specs()
        return {name: place for name, place in specs.items() if self._allowed(name)}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        spec = super().get_kernel_spec(kernel_name)
        if not runs_in_workspace(spec.metadata):
            raise NoSuchKernel(kernel_name)
        return spec

    def get_all_specs(self) -> dict[str, Any]:
        specs: dict[str, Any] = super().get_all_specs()
        return {name: row for name, row in specs.items() if runs_in_workspace(row["spec"].get("metadata"))}

    def _allowed(self, name: str) -> bool:
        try:
            return runs_in_workspace(super().get_kernel_spec(name).metadata)
        except (NoSuchKernel, ValueError, OSError):
            return False
