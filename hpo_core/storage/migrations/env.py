"""Run by alembic on the connection that `hpo_core.storage.database` hands it."""

from alembic import context

from hpo_core.storage.database import VERSION_TABLE
from hpo_core.storage.tables import hpo_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=hpo_metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
