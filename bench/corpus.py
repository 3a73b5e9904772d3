"""What is saved in the snapshot rows: the same bytes every time, and the same changes to them.

Packages (thousands of small texts), a checkout with its objects, notebooks with pictures, one large table, one large
file of noise. Then one file in a hundred is edited in its middle, ten megabytes of rows are inserted into the middle of
the table, and the noise gets another name.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class Size:
    packages: int
    """Files."""
    objects: int
    notebooks: int
    table_bytes: int
    noise_bytes: int
    inserted_bytes: int


FULL = Size(20_000, 2_000, 200, 500 * MIB, 500 * MIB, 10 * MIB)
QUICK = Size(2_000, 200, 20, 50 * MIB, 50 * MIB, MIB)


def make(top: Path, size: Size) -> None:
    chance = random.Random(6)
    text = _text(chance, 32 * MIB if size is FULL else 8 * MIB)
    for n in range(size.packages):
        place = top / f"packages/lib{n // 200}/module{n % 20}"
        place.mkdir(parents=True, exist_ok=True)
        length = min(int(chance.lognormvariate(8.9, 1.3)), MIB - 1)
        start = chance.randrange(len(text) - length)
        (place / f"part{n}.py").write_bytes(b"# %d\n" % n + text[start : start + length])
    for _ in range(size.objects):
        name = f"{chance.getrandbits(160):040x}"
        place = top / f"checkout/.git/objects/{name[:2]}"
        place.mkdir(parents=True, exist_ok=True)
        (place / name[2:]).write_bytes(chance.randbytes(min(int(chance.lognormvariate(7.5, 1.5)), 200_000)))
    (top / "checkout/.git/objects/pack").mkdir()
    (top / "checkout/.git/objects/pack/all.pack").write_bytes(chance.randbytes(size.noise_bytes // 10))
    (top / "notebooks").mkdir()
    for n in range(size.notebooks):
        (top / f"notebooks/{n}.ipynb").write_text(_notebook(chance, text))
    with (top / "events.csv").open("wb") as file:
        for block in _rows(chance, size.table_bytes):
            file.write(block)
    with (top / "noise.bin").open("wb") as file:
        for _ in range(size.noise_bytes // MIB):
            file.write(chance.randbytes(MIB))


def change(top: Path, size: Size) -> None:
    chance = random.Random(7)
    for path in sorted(top.glob("packages/*/*/*.py"))[::100]:
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] + b"# edited\n" + data[middle:])
    table = top / "events.csv"
    data = table.read_bytes()
    middle = data.index(b"\n", len(data) // 2) + 1
    with table.open("wb") as file:
        file.write(data[:middle])
        for block in _rows(chance, size.inserted_bytes):
            file.write(block)
        file.write(data[middle:])
    (top / "noise.bin").rename(top / "renamed.bin")


def _text(chance: random.Random, length: int) -> bytes:
    """Like source code: few words often, many seldom, indented lines."""
    words = ["".join(chance.choices("etaoinsrhldcumfpgwybvk_", k=chance.randrange(2, 12))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    lines: list[str] = []
    total = 0
    while total < length:
        picked = chance.choices(words, weights, k=4000)
        at = 0
        while at < len(picked):
            count = chance.randrange(1, 9)
            line = " " * 4 * chance.randrange(4) + chance.choice((" ", ".", ", ", " = ")).join(picked[at : at + count])
            lines.append(line)
            total += len(line) + 1
            at += count
    return "\n".join(lines).encode()[:length]


def _notebook(chance: random.Random, text: bytes) -> str:
    cells = []
    for _ in range(20):
        start = chance.randrange(len(text) - 400)
        picture = base64.encodebytes(chance.randbytes(chance.randrange(30_000))).decode()
        output = {"output_type": "display_data", "data": {"image/png": picture}, "metadata": {}}
        source = text[start : start + 400].decode()
        cells.append({"cell_type": "code", "source": source, "outputs": [output], "metadata": {}, "execution_count": 1})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _rows(chance: random.Random, length: int) -> Iterator[bytes]:
    """A table of events, in blocks of about a megabyte."""
    names = ["login", "logout", "view", "click", "purchase", "search", "scroll", "error"]
    ends = [
        f",{chance.getrandbits(16)},{chance.choice(names)},{chance.random() * 1e5:.3f},{chance.getrandbits(6)}\n"
        for _ in range(1 << 16)
    ]
    time, total = 1_700_000_000, 0
    while total < length:
        lines = []
        for number in memoryview(chance.randbytes(2 * 25_000)).cast("H"):
            time += number & 31
            lines.append(f"{time}{ends[number]}")
        block = "".join(lines).encode()[: length - total]
        total += len(block)
        yield block
