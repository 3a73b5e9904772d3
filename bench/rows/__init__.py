"""The rows, in the order of the table."""

from ..model import Row
from . import command, engine, execution, memory, metadata, rest, restart, start

ROWS: tuple[Row, ...] = (
    start.WARM,
    start.COLD,
    rest.WARM,
    rest.BURST,
    execution.EXECUTE,
    execution.FLOOD,
    restart.FRESH,
    restart.SAME,
    memory.IDLE,
    engine.IDLE,
    command.EXEC,
    metadata.PAGE,
    metadata.SWEEP,
)
