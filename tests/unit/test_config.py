"""Processes on one data directory are of one mind about where containers are, however each was configured."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from traitlets.config import Config

from syla_jupyter.cli.pool import fill, fill_config
from syla_jupyter.config import default_run_dir, load_settings, remember_run_dir
from syla_jupyter.model.settings import PoolSettings
from syla_jupyter.workspaces.refill import refill_arguments


@pytest.fixture
def place() -> Iterator[Path]:
    """Short: sockets would be below."""
    with tempfile.TemporaryDirectory(prefix="sc", dir="/tmp") as directory:
        yield Path(directory)


def test_a_run_directory_is_kept_as_long_as_it_is_there(place: Path) -> None:
    """What one process was configured with, or found in its environment, the next one has without being told."""
    environ, config = {"SYLA_HOME": str(place / "data")}, Config()
    config.Syla.run_dir = str(place / "run")
    settings = load_settings(config, environ)
    assert load_settings(None, environ).run_dir != settings.run_dir
    remember_run_dir(settings)
    assert load_settings(None, environ).run_dir == settings.run_dir
    assert (place / "run").stat().st_mode & 0o777 == 0o700
    config.Syla.run_dir = str(place / "other")
    assert load_settings(config, environ).run_dir == place / "other"  # who says so decides
    (place / "run").rmdir()
    assert load_settings(None, environ).run_dir == default_run_dir({}, os.geteuid())


def test_a_run_directory_that_cannot_be_remembered_is_no_error(place: Path) -> None:
    settings = load_settings(None, {"SYLA_HOME": str(place / "data")})
    (place / "data").write_text("no directory")
    remember_run_dir(dataclasses.replace(settings, run_dir=place / "run"))
    assert load_settings(None, {"SYLA_HOME": str(place / "data")}).run_dir == settings.run_dir


def test_a_refill_makes_what_was_asked_for(place: Path) -> None:
    """Else no claim would ever find its containers."""
    pool = PoolSettings(size=2, ttl_seconds=77.5, memory_cap_bytes=5 << 30)
    environ = {"SYLA_HOME": str(place)}
    wanted = dataclasses.replace(
        load_settings(None, environ),
        pool=pool,
        spares=3,
        run_dir=place / "run",
        egress_allowed=("10.1.0.0/16", "192.168.7.0/24"),
    )
    given = fill.make_context("fill", refill_arguments(wanted)).params
    assert load_settings(fill_config(**given), environ) == wanted
