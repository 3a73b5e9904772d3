"""Fixtures of the tests in this directory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import StartLab

from .school import ROLES, School, school_of


@pytest.fixture(scope="module")
def schools(start_lab: StartLab) -> list[Any]:
    """The server of a module, and from its first test on the school in it."""
    return [start_lab()]


@pytest.fixture
async def school(schools: list[Any]) -> School:
    """Everybody in the role that he begins with."""
    if len(schools) == 1:
        schools.append(await school_of(schools[0]))
    school: School = schools[1]
    await school.take_roles({**ROLES, "sam": ""})
    return school
