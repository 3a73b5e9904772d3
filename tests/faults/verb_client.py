"""A program that does one verb on a workspace and is killed at one of its steps: VERB STEP NAME."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from traitlets.config import Config

from syla_jupyter import app
from syla_jupyter.config import load_settings

VERBS = {
    "create": lambda registry, name: registry.create(name, root=Path.cwd()),
    "start": lambda registry, name: registry.open(registry.catalog.get(name).id),
    "claim": lambda registry, name: registry.open(registry.catalog.get(name).id),
    "resume": lambda registry, name: registry.open(registry.catalog.get(name).id),
    "suspend": lambda registry, name: registry.suspend(registry.catalog.get(name).id),
    "stop": lambda registry, name: registry.suspend(registry.catalog.get(name).id, stop=True),
    "archive": lambda registry, name: registry.archive(registry.catalog.get(name).id),
    "recover": lambda registry, name: registry.recover(registry.catalog.get(name).id),
    "restore": lambda registry, name: registry.rewind(registry.catalog.get(name).id, 1, author="ann"),
    "delete": lambda registry, name: registry.delete(registry.catalog.get(name).id, confirmed=True),
}


def main(verb: str, step: str, name: str) -> None:
    config = Config()
    config.Syla.update(run_dir=os.environ["TEST_RUN_DIR"], lease_seconds=1.0, pool_size=0)
    registry = app.build(load_settings(config, os.environ), dict(os.environ)).registry()

    def reach(at_verb: str, at_step: str) -> None:
        if (str(at_verb), at_step) == (verb, step):
            os.kill(os.getpid(), signal.SIGKILL)

    registry._reach = registry.catalog._reach = reach
    VERBS[verb](registry, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
