"""A whole command: `syla exec -- true` with a container ready, and what one would type without us."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from syla_jupyter.runtimes.image_name import image_reference

from ..client import REPLY_SECONDS, now_ms
from ..measure import Bench, Sample, interleave
from ..model import OURS, Outcome, Row

DOCKER_RUN = "docker run"


async def _timed(*command: str) -> float:
    begin = now_ms()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(REPLY_SECONDS):
            _, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    took = now_ms() - begin
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.decode()[-500:]}")
    return took


async def _exec(bench: Bench) -> Outcome:
    syla = str(Path(sys.executable).parent / "syla")
    image = image_reference(bench.application.templates.get("python"))
    pool = bench.application.pool

    async def ours() -> float:
        await bench.calm.wait(ready=1)
        return await _timed(syla, "exec", "--", "true")

    async def docker_run() -> float:
        await bench.calm.wait(ready=1)
        return await _timed("docker", "run", "--rm", f"--name={bench.tag}-run", image, "true")

    variants: dict[str, Sample] = {OURS: ours}
    notes = []
    if shutil.which("docker"):
        variants[DOCKER_RUN] = docker_run
    else:
        notes.append("docker run left out: there is no docker command")
    await _timed(syla, "exec", "--", "true")  # asks for the pool's first container
    misses = len(pool.misses(1000))
    samples = await interleave(variants, bench.n)
    if len(pool.misses(1000)) != misses:
        raise RuntimeError("a command found nothing ready: it was not warm")
    return Outcome(samples, notes=notes)


EXEC = Row("exec_command", "`syla exec -- true`, the whole command", "ms", _exec, baseline=DOCKER_RUN)
