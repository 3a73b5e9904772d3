"""Our side of the snapshot rows, in a process of its own:
`python -m bench.snapshot_ours <file for the figures> <store> <files> <verb>…`.

The figures are of the last verb: as in a server's process, that has everything imported and its store open, and opens
the repository for each verb. Verbs: create, save, `restore:<directory>`. What belongs to this side is in the current
directory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from syla_jupyter.app import open_objects
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.snapshot import Reason
from syla_jupyter.objects.base import ObjectStore
from syla_jupyter.snapshots.keys import MasterKey
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.snapshots.restore import restore
from syla_jupyter.snapshots.save import save
from syla_jupyter.snapshots.tree import Part

WORKSPACE = "bench"
CLOCK = SystemClock()


def main(said: str, address: str, files: str, *verbs: str) -> None:
    objects = open_objects(address, "store", lambda request: None)
    assert objects.conditional  # a server has asked before
    figures = [measured(objects, Path(files), verb) for verb in verbs]
    Path(said).write_text(json.dumps(figures[-1]))
    objects.close()


def measured(objects: ObjectStore, files: Path, verb: str) -> dict[str, float]:
    place = Path.cwd()
    master = MasterKey.from_file(place / "master.key", create=verb == "create")
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    make = Repository.create if verb == "create" else Repository.open
    repository = make(objects, WORKSPACE, master, clock=CLOCK, cache_dir=place / "cache")
    if verb == "save":
        save(
            repository, [Part("files", files)], author="bench", message="", reason=Reason.MANUAL, clock=CLOCK,
            cache_dir=place / "cache",
        )  # fmt: skip
    elif verb.startswith("restore:"):
        target, version = Path(verb.removeprefix("restore:")), repository.versions()[-1]
        restore(repository, version, {"files": target}, state_dir=place / "state", clock=CLOCK)
    repository.close()
    seconds, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": used.ru_maxrss * 1024}


if __name__ == "__main__":
    main(*sys.argv[1:])
