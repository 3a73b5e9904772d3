"""In which order cells run, and which do not."""

from __future__ import annotations

from syla_jupyter.server.cell_queue import Asked, CellQueue


def asked(cell: str, user: str = "ann", at: float = 0.0, room: str = "room") -> Asked:
    return Asked(id=f"{user}-{cell}", user=user, room=room, cell=cell, asked_at=at)


def order(queue: CellQueue) -> list[str]:
    return [one.cell for one in queue.waiting]


def test_a_burst_runs_from_top_to_bottom() -> None:
    queue = CellQueue()
    for place in (2, 0, 3, 1):
        queue.add(asked(str(place), at=place / 100), place)
    assert order(queue) == ["0", "1", "2", "3"]


def test_what_is_asked_for_later_or_by_others_runs_later() -> None:
    queue = CellQueue()
    queue.add(asked("5", at=0.0), 5)
    queue.add(asked("2", at=1.0), 2)
    queue.add(asked("1", user="bob", at=1.0), 1)
    queue.add(asked("0", at=1.0), 0)
    queue.add(asked("4", at=1.0, room="other"), 0)
    assert order(queue) == ["5", "2", "1", "0", "4"]


def test_one_runs_at_a_time() -> None:
    queue = CellQueue()
    queue.add(asked("0"), 0)
    queue.add(asked("1"), 1)
    first = queue.start()
    assert first is not None
    assert (first.cell, queue.start()) == ("0", None)
    queue.end()
    assert queue.start() is not None
    assert queue.start() is None


def test_dropping_one_one_persons_and_all() -> None:
    queue = CellQueue()
    for user in ("ann", "bob"):
        for place in range(3):
            queue.add(asked(str(place), user=user, at=place), place)
    assert [one.id for one in queue.drop(id="bob-1")] == ["bob-1"]
    assert [one.cell for one in queue.drop(user="ann")] == ["0", "1", "2"]
    assert len(queue.drop(everything=True)) == 2
    assert not queue.waiting
