"""The registry against its model once more, with containers: what a plain process cannot show of freezing and ending."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.clock import Clock

from ..installation import NOTHING_READY, Installation
from ..registry_model import Part, RegistryMachine

SECONDS = 25.0
"""No batch is begun after this long; one takes some ten seconds."""
BATCH = settings(
    max_examples=3,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
    print_blob=True,
)


class DockerMachine(RegistryMachine):
    """Each example is an installation of its own."""

    engine: Any
    template = "bash"

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="rm", dir="/tmp"))
        self.environ = {**os.environ, "SYLA_HOME": str(self.directory / "data")}
        self.stores: list[Any] = []
        (self.directory / "data" / "root").mkdir(parents=True)
        super().__init__()

    def start(self, who: int) -> Part:
        application = app.build(load_settings(NOTHING_READY, self.environ), self.environ)
        registry = application.registry()
        on_a_clock(registry, self.clock)
        self.stores.append(application.store())
        return Part(
            application.settings, application.runtime, application.store(), application.service, registry._places, registry
        )  # fmt: skip

    def end(self) -> None:
        registry = self.start(0).registry
        for record in registry.catalog.running():
            registry.suspend(record.id, stop=True)
        for store in self.stores:
            store.close()
        Installation(self.directory / "data", self.engine).assert_nothing_left()
        shutil.rmtree(self.directory)

    def memory_limit(self, process: Part, container_id: str) -> int:
        return int(self.engine.api.inspect_container(container_id)["HostConfig"]["Memory"])


def on_a_clock(registry: Any, clock: Clock) -> None:
    """Moved by hand from here on."""
    registry._clock = registry.catalog._clock = clock


@pytest.fixture
def machine(engine: Any) -> type[DockerMachine]:
    DockerMachine.engine = engine
    return DockerMachine


def test_the_registry_does_with_containers_what_its_model_does(machine: type[DockerMachine]) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        run_state_machine_as_test(machine, settings=BATCH)
