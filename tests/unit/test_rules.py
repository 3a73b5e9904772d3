"""Pure rules: placement, paths, environment, limits, leases, id maps, sizes, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.agent.lease import DEADLINE_OVER, LEASE_OVER, Lease
from syla_jupyter.config import load_settings, parse_bytes
from syla_jupyter.model import errors
from syla_jupyter.model.errors import BadInput, BadPath, SylaError
from syla_jupyter.model.runtime import User
from syla_jupyter.model.settings import PoolSettings, Settings
from syla_jupyter.model.workspace import GIB, MIB, MountMode, Network, WorkspaceType, readable_bytes
from syla_jupyter.runtimes.attach import id_map
from syla_jupyter.server.kernelspecs import runs_in_workspace
from syla_jupyter.workspaces.live import container_path
from syla_jupyter.workspaces.placement import (
    chosen_workspace,
    default_workspace,
    ephemeral_workspace,
    kernel_environment,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", run_dir=Path("/run/syla"))


def test_the_default_workspace_is_the_root_with_other_workspaces_masked(settings: Settings, tmp_path: Path) -> None:
    """A server's root directory is its default workspace's files; `workspaces/` under it is hidden."""
    root = tmp_path / "notebooks"
    root.mkdir()
    spec, note = default_workspace(settings, root, "python", tmp_path / "home")
    assert (spec.files, spec.masked, note) == (root, ("workspaces",), "")
    assert spec.network is Network.EGRESS
    assert container_path(spec, root / "a" / "b") == "/workspace/a/b"
    assert container_path(spec, tmp_path) == "/workspace"
    with pytest.raises(BadPath):
        container_path(spec, root / "workspaces" / "other")


@pytest.mark.parametrize("root", ["/", "home", "parent"])
def test_a_root_that_is_too_wide_is_not_mounted(settings: Settings, tmp_path: Path, root: str) -> None:
    """With `/`, the home, or a directory above it as root, kernels get `workspaces/default` and the log says so."""
    home = tmp_path / "people" / "ann"
    home.mkdir(parents=True)
    place = {"/": Path("/"), "home": home, "parent": home.parent}[root]
    spec, note = default_workspace(settings, place, "python", home)
    assert spec.files == place / "workspaces" / "default"
    assert str(spec.files) in note


def test_an_ephemeral_workspace_holds_the_current_directory(settings: Settings, tmp_path: Path) -> None:
    """The current directory is mounted; a kernel that starts elsewhere brings its own directory instead."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    (here / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    assert ephemeral_workspace(settings, {}, here, here / "sub", "python").files == here
    assert ephemeral_workspace(settings, {}, here, elsewhere, "python").files == elsewhere
    assert ephemeral_workspace(settings, {"SYLA_MOUNT": "none"}, here, None, "python").files is None
    read_only = ephemeral_workspace(settings, {"SYLA_MOUNT": MountMode.READ_ONLY}, here, None, "python")
    assert read_only.files_read_only
    assert read_only.network is Network.NONE
    with pytest.raises(BadInput, match="SYLA_MOUNT.*rw, ro or none"):
        ephemeral_workspace(settings, {"SYLA_MOUNT": "yes"}, here, None, "python")
    with pytest.raises(BadPath, match="gone"):
        ephemeral_workspace(settings, {}, tmp_path / "gone", None, "python")


def test_no_name_is_an_ephemeral_workspace() -> None:
    """`SYLA_WORKSPACE` names a workspace, or none."""
    assert chosen_workspace({}) is chosen_workspace({"SYLA_WORKSPACE": "ephemeral"}) is None
    assert chosen_workspace({"SYLA_WORKSPACE": "default"}) == "default"


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=20)))
def test_only_listed_variables_reach_a_kernel(given_env: dict[str, str]) -> None:
    """Of the starting process's environment nothing crosses but the allow-list, whatever it holds."""
    settings = Settings(data_dir=Path("/d"), run_dir=Path("/r"))
    secret = {"JUPYTER_TOKEN": "s", "AWS_SECRET_ACCESS_KEY": "s", "LANG": "C.UTF-8"}
    env = kernel_environment(settings, {"OWN": "1"}, {**given_env, **secret}, "/workspace")
    assert set(env) <= {*settings.environment_allowed, "OWN", "JPY_SESSION_NAME"}
    assert env["LANG"] == "C.UTF-8"


def test_a_session_name_is_the_path_inside() -> None:
    """The host's path of a notebook is not told to its kernel."""
    settings = Settings(data_dir=Path("/d"), run_dir=Path("/r"))
    env = kernel_environment(settings, {}, {"JPY_SESSION_NAME": "/home/ann/secret/n.ipynb"}, "/workspace/secret")
    assert env["JPY_SESSION_NAME"] == "/workspace/secret/n.ipynb"


@pytest.mark.parametrize(("text", "count"), [("512m", 512 * MIB), ("4g", 4 * GIB), ("1.5G", 3 * GIB // 2), ("7", 7)])
def test_sizes_are_read(text: str, count: int) -> None:
    """Sizes are written with a unit of powers of 1024."""
    assert parse_bytes("memory", text) == count


@pytest.mark.parametrize("text", ["", "-1", "4 gigs", "0x10", "1e9", "g"])
def test_wrong_sizes_name_the_field(text: str) -> None:
    """A size that is none is refused with the field and the right form."""
    with pytest.raises(BadInput, match="memory: .*512m"):
        parse_bytes("memory", text)


def test_settings_come_from_the_environment_and_are_checked(tmp_path: Path) -> None:
    """Environment variables win over defaults, and relations between settings are checked."""
    environ = {"SYLA_HOME": str(tmp_path), "SYLA_MEMORY": "700m", "SYLA_CPUS": "1.5"}
    limits = load_settings(None, environ).limits[WorkspaceType.EPHEMERAL]
    assert (limits.memory_bytes, limits.cpus) == (700 * MIB, 1.5)
    for name, value in (("SYLA_MEMORY", "1m"), ("SYLA_CPUS", "zero"), ("SYLA_CPUS", "0")):
        with pytest.raises(BadInput):
            load_settings(None, {"SYLA_HOME": str(tmp_path), name: value})
    with pytest.raises(ValueError, match="too long for sockets"):
        Settings(data_dir=tmp_path, run_dir=Path("/" + "x" * 100))
    with pytest.raises(ValueError, match="ttl_seconds"):
        PoolSettings(ttl_seconds=0.5)
    with pytest.raises(ValueError, match="never runs as root"):
        User(0, 0)


@given(st.integers(min_value=1, max_value=60000))
def test_id_maps_are_one_to_one_and_swap_root_with_the_user(uid: int) -> None:
    """Every id on disk is seen as exactly one id inside; root and the container's user change places."""
    rows = [tuple(map(int, line.split())) for line in id_map(User(uid, uid)).splitlines()]

    def inside(on_disk: int) -> list[int]:
        return [seen + on_disk - first for first, seen, count in rows if first <= on_disk < first + count]

    assert inside(0) == [uid]
    assert inside(uid) == [0]
    for other in {1, uid + 1, max(1, uid - 1), 65534} - {uid}:
        assert inside(other) == [other]


def test_a_lease_ends_after_its_last_holder() -> None:
    """Held: never due. Let go: due after the seconds of the last hold. A deadline counts whoever holds."""
    lease = Lease(5.0, None, now=0.0)
    assert lease.due(4.9)[0] is None
    assert lease.due(5.0)[0] == LEASE_OVER
    lease.hold(1, 3.0)
    lease.hold(2, 3.0)
    assert lease.due(1e9) == (None, None)
    lease.drop(1, now=100.0)
    assert lease.held
    lease.drop(2, now=100.0)
    lease.drop(2, now=200.0)
    assert lease.due(102.9)[0] is None
    assert lease.due(103.0)[0] == LEASE_OVER
    lease.renew(10.0, now=101.0)
    assert lease.due(110.0)[0] is None
    lease.hold(3, 3.0)
    lease.end_in(2.0, now=110.0)
    assert lease.due(112.0)[0] == DEADLINE_OVER


def test_only_our_provisioner_counts_as_a_workspace() -> None:
    """A kernelspec without a provisioner gets ours; one that names another runs outside and is not offered."""
    assert runs_in_workspace(None)
    assert runs_in_workspace({"kernel_provisioner": {"provisioner_name": "syla-provisioner"}})
    assert not runs_in_workspace({"kernel_provisioner": {"provisioner_name": "local-provisioner"}})
    assert not runs_in_workspace({"kernel_provisioner": "local-provisioner"})


def test_every_error_is_one_line_with_a_code_and_an_exit_code() -> None:
    """Messages of the whole error tree are one line, hint included, and codes are unique."""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SylaError)]
    assert len({c.code for c in classes}) == len(classes)
    for error_class in classes:
        arguments = (
            ("field", "it\nbroke", "mend\nit") if issubclass(error_class, BadInput) else ("it\nbroke", "mend it")
        )
        error = error_class(*arguments)
        assert "\n" not in str(error)
        assert str(error).endswith("it broke. mend it")
        assert 0 < error.exit_code < 126 or error.exit_code == 130


def test_sizes_are_written_for_people() -> None:
    """Whole gigabytes as such, everything else in megabytes."""
    assert readable_bytes(512 * MIB) == "512 MB"
    assert readable_bytes(4 * GIB) == "4 GB"
