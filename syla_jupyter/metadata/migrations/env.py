"""What Alembic runs: the steps, on the connection and in the transaction that the caller has begun."""

from __future__ import annotations

from alembic import context

from syla_jupyter.metadata import people_tables  # noqa: F401  # part of the metadata
from syla_jupyter.metadata.tables import REVISION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
