"""Our side of the snapshot rows, in a process of its own: `python -m bench.snapshot_ours <place> <files> <verb>…`.

One JSON line for each verb: seconds, as a server's process takes that has everything imported, and this process's
largest resident memory so far. Verbs: save, `restore:<directory>`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.snapshot import Reason
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.snapshots.keys import MasterKey
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.snapshots.restore import restore
from syla_jupyter.snapshots.save import save
from syla_jupyter.snapshots.tree import Part

WORKSPACE = "bench"


def main(place_text: str, files_text: str, *verbs: str) -> None:
    place, files, clock = Path(place_text), Path(files_text), SystemClock()
    objects = LocalObjects(place / "objects")
    master = MasterKey.from_file(place / "master.key", create=True)
    make = Repository.open if (place / "objects").exists() else Repository.create
    repository = make(objects, WORKSPACE, master, clock=clock, cache_dir=place / "cache")
    for verb in verbs:
        begin = time.perf_counter()
        if verb == "save":
            save(
                repository, [Part("files", files)], author="bench", message="", reason=Reason.MANUAL, clock=clock,
                cache_dir=place / "cache",
            )  # fmt: skip
        else:
            target = Path(verb.partition(":")[2])
            version = repository.versions()[-1]
            restore(repository, version, {"files": target}, state_dir=place / "state", clock=clock)
        seconds = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"verb": verb, "seconds": seconds, "peak_bytes": peak}), flush=True)
    repository.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
