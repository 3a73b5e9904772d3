"""A namespace of half a gigabyte: for how long its kernel stands still, how long it takes to save and to bring back.

Beside it what people do by hand: `cloudpickle`, or `dill`, of one variable after the other into files, in a plain local
interpreter. That blocks the kernel for the whole time, keeps no object shared between variables, and does not find out
whether it loads; ours does all three.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from syla_jupyter.workspaces import variables
from syla_jupyter.workspaces.live import LiveWorkspace, RunningProcess
from syla_jupyter.workspaces.variables_due import Due

from ..measure import Bench
from ..model import OURS, Outcome, Row, Target

PAUSE_MS, UNCHANGED_MS, UNCHANGED_MB = 20, 300, 0.1
CLOUDPICKLE, DILL = "cloudpickle", "dill"
SAMPLES = 5
MIB = 1 << 20

NAMESPACE = """
import numpy as np, pandas as pd
rng = np.random.default_rng(1)
array = rng.random(25_000_000); view = array[:10]; other = rng.random(12_500_000)
frame = pd.DataFrame({'x': rng.normal(size=400_000), 'y': rng.integers(0, 9, 400_000),
                      's': rng.choice(['alpha', 'beta', 'gamma'], 400_000)})
frames = {'main': frame}; blocks = [rng.random(1_000_000) for _ in range(12)]
class Point: pass
points = [Point() for _ in range(1000)]
def double(x): return 2 * x
for n in range(40): globals()['v%d' % n] = {'n': n, 'l': list(range(n))}
"""

BY_HAND = """
import importlib, json, os, sys, time
directory, samples, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
exec(NAMESPACE)
mine = [n for n, v in list(globals().items()) if n in WANTED or n[0] == 'v' and n[1:].isdigit()]
found = {}
for name in names:
    pickler = importlib.import_module(name)
    for _ in range(samples):
        began = time.perf_counter()
        for variable in mine:
            with open(os.path.join(directory, variable), 'wb') as file:
                pickler.dump(globals()[variable], file, protocol=5)
        saved = time.perf_counter()
        back = {}
        for variable in mine:
            with open(os.path.join(directory, variable), 'rb') as file:
                back[variable] = pickler.load(file)
        loaded = time.perf_counter()
        size = sum(os.path.getsize(os.path.join(directory, variable)) for variable in mine)
        found.setdefault(name, []).append([(saved - began) * 1000, (loaded - saved) * 1000, size])
        del back
print(json.dumps(found))
"""
WANTED = ("array", "view", "other", "frame", "frames", "blocks", "points", "double")


@contextlib.contextmanager
def _kernel(live: LiveWorkspace) -> Iterator[tuple[RunningProcess, Callable[[str], None]]]:
    """A kernel of one notebook; the function runs code in it."""
    slot, key = secrets.token_hex(4), secrets.token_hex(16).encode()
    environ = {"JPY_SESSION_NAME": "/workspace/bench.ipynb"}
    process = live.start_kernel(slot, key=key, cwd="/workspace", env=environ, timeout=120)
    client = BlockingKernelClient()
    prefix = str(live.run.client_prefix(slot))
    names = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
    info: Any = {"transport": "ipc", "ip": prefix, "key": key, "signature_scheme": "hmac-sha256"}
    info.update((name, number) for number, name in enumerate(names, 1))
    client.load_connection_info(info)
    client.start_channels()

    def run(code: str) -> None:
        reply = client.execute_interactive(code, timeout=120, output_hook=lambda message: None)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(str(reply["content"]))

    try:
        client.wait_for_ready(timeout=60)
        yield process, run
    finally:
        client.stop_channels()
        process.signal(9)
        process.done.result(30)


def _saved(live: LiveWorkspace) -> variables.KernelVariables:
    (kernel,) = variables.save(live, seconds=120).kernels
    lost = [f"{one.name}: {one.reason}" for one in kernel.variables if one.status == "lost"]
    if kernel.error or lost:
        raise RuntimeError(f"not saved: {kernel.error} {lost}")
    return kernel


def _ours(bench: Bench, samples: int) -> dict[str, list[float]]:
    """Milliseconds: pause, save, unchanged, load; and bytes: stored, new."""
    found: dict[str, list[float]] = {name: [] for name in ("pause", "save", "unchanged", "load", "stored", "new")}
    registry = bench.application.registry()
    record = registry.create(f"bench-{secrets.token_hex(3)}", root=bench.lab / "work")
    try:
        live = registry.open(record.id)
        assert live.spec.home is not None
        for _ in range(samples):
            with _kernel(live) as (_, run):
                run(NAMESPACE)
                first = _saved(live)
                again = _saved(live)
            found["pause"] += [first.pause_seconds * 1000, again.pause_seconds * 1000]
            found["save"].append(first.seconds * 1000)
            found["unchanged"].append(again.seconds * 1000)
            found["stored"].append(first.stored_bytes)
            found["new"].append(again.new_bytes)
            Due(live.spec.home).replace([first.key])
            with _kernel(live) as (_, run):
                (back,) = variables.restored(live).kernels
                run("assert np.shares_memory(view, array) and frames['main'] is frame and double(2) == 4")
            found["load"].append(back.seconds * 1000)
            Due(live.spec.home).replace([])
            with _kernel(live) as (_, run):  # so that the next save is a first one
                run("import shutil, os; shutil.rmtree(os.path.expanduser('~/.local/state/syla/variables'))")
    finally:
        registry.delete(record.id, confirmed=True)
    return found


def _by_hand(samples: int, names: list[str]) -> dict[str, list[list[float]]]:
    program = f"NAMESPACE = {NAMESPACE!r}\nWANTED = {WANTED!r}\n{BY_HAND}"
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-c", program, directory, str(samples), *names]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, list[list[float]]] = json.loads(ended.stdout)
    return found


async def _measure(bench: Bench, ours: str, by_hand: int) -> Outcome:
    samples = 2 if bench.quick else SAMPLES
    found = await asyncio.to_thread(_ours, bench, samples)
    other = await asyncio.to_thread(_by_hand, samples, [CLOUDPICKLE, DILL])
    beside = {name: [one[by_hand] for one in values] for name, values in other.items()}
    sizes = {name: round(values[-1][2] / MIB, 1) for name, values in other.items()}
    extra = {"stored_mib": {OURS: round(found["stored"][-1] / MIB, 1), **sizes}, "new_mib": max(found["new"]) / MIB}
    return Outcome({OURS: found[ours], **beside}, extra=extra)


def _row(id: str, title: str, ours: str, by_hand: int, target: Target | None) -> Row:
    async def run(bench: Bench) -> Outcome:
        return await _measure(bench, ours, by_hand)

    return Row(id, title, "ms", run, target, baseline=CLOUDPICKLE)


PAUSE = _row(
    "variables_pause",
    "a kernel stands still while 0.5 GB of variables are saved",
    "pause",
    0,
    Target(f"≤ {PAUSE_MS} ms", lambda m, _: m[OURS] <= PAUSE_MS),
)
SAVE = _row("variables_save", "0.5 GB of variables saved, and tried whether they load", "save", 0, None)
LOAD = _row("variables_load", "0.5 GB of variables brought back", "load", 1, None)
UNCHANGED = _row(
    "variables_unchanged",
    "0.5 GB of variables saved again, nothing changed",
    "unchanged",
    0,
    Target(
        f"≤ {UNCHANGED_MS} ms, ≤ {UNCHANGED_MB} MB new",
        lambda m, extra: m[OURS] <= UNCHANGED_MS and extra["new_mib"] <= UNCHANGED_MB,
    ),
)
