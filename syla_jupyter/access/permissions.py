"""The one table of permissions: what each lets somebody do with a workspace. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.people import Permission

PERMISSIONS: Mapping[Permission, str] = {
    Permission.READ: "see files, outputs, variables, versions and members; follow kernels and events",
    Permission.WRITE: "change files, versions and what the workspace is running on",
    Permission.EXECUTE: "run code: kernels, terminals, commands",
    Permission.SHARE: "add, change and remove members, invite",
    Permission.DELETE: "delete the workspace for good",
    Permission.ADMIN: "change its limits, its policy and who may reach it",
}
assert set(PERMISSIONS) == set(Permission)
