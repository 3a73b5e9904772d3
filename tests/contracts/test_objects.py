"""The contract of object stores, for the local one and the wrappers. S3 has a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.objects.metered import MeteredObjects, Request
from syla_jupyter.objects.retry import RetryingObjects
from syla_jupyter.testing.faulty_objects import FaultyObjects
from syla_jupyter.testing.objects_contract import ObjectsContract, OpenAgain


class TestLocal(ObjectsContract):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        return lambda: LocalObjects(tmp_path / "objects")


class TestRetrying(ObjectsContract):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        return lambda: RetryingObjects(LocalObjects(tmp_path / "objects"))


class TestMetered(ObjectsContract):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        requests: list[Request] = []
        return lambda: MeteredObjects(LocalObjects(tmp_path / "objects"), requests.append)


class TestFaultyWithoutFaults(ObjectsContract):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        return lambda: FaultyObjects(LocalObjects(tmp_path / "objects"))
