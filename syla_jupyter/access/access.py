"""What decides and records who may do what: one of each, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from ..metadata.people_base import PeopleStore
from .asking import Asking
from .audit import Audit
from .guard import Guard
from .identities import Identities
from .service import People
from .sharing import Sharing
from .visits import Visits


@dataclass(frozen=True)
class Access:
    owner: str
    """Name of who runs this installation: an admin of it."""
    store: PeopleStore
    guard: Guard
    audit: Audit
    identities: Identities
    people: People
    sharing: Sharing
    asking: Asking
    visits: Visits
