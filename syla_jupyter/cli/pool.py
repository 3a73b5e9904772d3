"""`syla pool`: look at and steer the containers kept ready."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any

import click
from traitlets.config import Config

from .. import app
from ..model.errors import SylaError
from ..workspaces.pool import Pool

QUIET_WAIT_MAX = 30  # seconds a refill waits for starts to calm down


@click.group("pool")
def group() -> None:
    """Containers kept ready."""


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """What is ready, and the last claims that found nothing."""
    pool = app.shared().pool
    rows, misses = pool.status(), pool.misses()
    if as_json:
        keys = [dataclasses.asdict(row) for row in rows]
        click.echo(json.dumps({"paused": pool.paused, "keys": keys, "misses": misses}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("key", "for", "ready", "last wanted")
    for row in rows:
        table.add_row(row.key, row.description, str(row.ready), f"{row.last_wanted_seconds_ago:.0f} s ago")
    console = Console()
    console.print(table)
    if pool.paused:
        console.print("Paused: no refills until `syla pool resume`.")
    for line in misses:
        console.print(f"miss: {line}", markup=False)


@group.command()
def pause() -> None:
    """Make no more containers ready; those that are stay."""
    app.shared().pool.pause(True)
    click.echo("Paused. `syla pool drain` ends those that are ready; `syla pool resume` goes on.")


@group.command()
def resume() -> None:
    """Go on after a pause."""
    app.shared().pool.pause(False)
    click.echo("Resumed.")


@group.command()
def drain() -> None:
    """End every ready container."""
    click.echo(f"{app.shared().service.drain()} ended.")


@group.command(hidden=True)
@click.option("--size", type=int)
@click.option("--ttl-seconds", type=float)
@click.option("--memory-cap-bytes", type=int)
@click.option("--spares", type=int)
@click.option("--run-dir")
@click.option("--egress-allowed", multiple=True)
def fill(**given: Any) -> None:
    """Make what is missing, then end: started in the background after a claim."""
    os.nice(19)
    application = app.shared(fill_config(**given))
    pool, delay_seconds = application.pool, application.settings.pool.refill_delay_seconds
    with pool.refill_lock() as ours:
        if not ours:
            return
        failed: set[str] = set()
        while True:
            _wait_for_quiet(pool, delay_seconds)
            wanted = [(key, spec) for key, spec, _ in pool.missing() if key not in failed]
            if not wanted:
                break
            key, spec = wanted[0]
            try:
                application.service.fill_pool(spec, key)
            except SylaError as exc:
                failed.add(key)
                pool.missed(key, f"refill failed: {exc}")
        application.service.reconcile()
        pool.drop_stale_keys()


def fill_config(
    *,
    size: int | None,
    ttl_seconds: float | None,
    memory_cap_bytes: int | None,
    spares: int | None,
    run_dir: str | None,
    egress_allowed: tuple[str, ...],
) -> Config:
    """What the process that asked was configured with."""
    given = {"pool_size": size, "pool_ttl_seconds": ttl_seconds, "spares": spares, "run_dir": run_dir}
    given["pool_memory"] = None if memory_cap_bytes is None else str(memory_cap_bytes)
    config = Config()
    config.Syla.update({name: value for name, value in given.items() if value is not None})
    config.Syla.egress_allowed = list(egress_allowed)
    return config


def _wait_for_quiet(pool: Pool, delay_seconds: float) -> None:
    """Starts come first: wait until none has happened for a while."""
    for _ in range(int(QUIET_WAIT_MAX / delay_seconds)):
        left = delay_seconds - pool.seconds_since_wanted()
        if left <= 0:
            return
        time.sleep(left)
