"""The registry against its model: real store, real agents as plain processes, two processes' views of one installation."""

from __future__ import annotations

import os
from contextlib import ExitStack

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from syla_jupyter.metadata.sql import open_store
from syla_jupyter.testing.fake_runtime import FakeRuntime

from ..local_installation import PLENTY, connect, local_installation
from ..registry_model import Part, RegistryMachine

BOUNDED = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # an example that fails is short enough to read; shrinking takes minutes
    print_blob=True,
)


class LocalMachine(RegistryMachine):
    def __init__(self) -> None:
        self.stack, self.stores = ExitStack(), []
        super().__init__()

    def start(self, who: int) -> Part:
        if not self.stores:
            self.first = self.stack.enter_context(local_installation(self.clock))
            self.stores.append(self.first.store)
        if len(self.stores) == who:
            self.stores.append(open_store(self.first.settings.data_dir / "workspaces.db"))
            self.stack.callback(self.stores[who].close)
        runtime = FakeRuntime(self.first.settings.data_dir.parent / "engine", environ=os.environ)
        local = connect(self.first.settings, self.clock, runtime, self.stores[who], PLENTY)
        return Part(local.settings, runtime, local.store, local.containers, local.places, local.registry)

    def end(self) -> None:
        self.stack.close()

    def memory_limit(self, process: Part, container_id: str) -> int:
        return process.runtime.limits[container_id].memory_bytes


def test_the_registry_does_what_its_model_does() -> None:
    run_state_machine_as_test(LocalMachine, settings=BOUNDED)
