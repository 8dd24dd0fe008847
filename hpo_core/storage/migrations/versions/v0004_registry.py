"""The registry: every file of a model version, its provenance and evaluation; aliases, tags and what happened."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_DOUBLE = sa.Float(precision=53)


def upgrade() -> None:
    """Add to the model versions, and create the tables beside them."""
    table = "hpo_model_versions"
    op.add_column(table, sa.Column("files", sa.Text, nullable=False, server_default="{}"))
    op.add_column(table, sa.Column("provenance", sa.Text, nullable=False, server_default="{}"))
    op.add_column(table, sa.Column("evaluation", sa.Text))
    op.create_table(
        "hpo_model_aliases",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("alias", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("since", _DOUBLE, nullable=False),
    )
    op.create_table(
        "hpo_model_tags",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.String(256), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "hpo_model_log",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("time", _DOUBLE, nullable=False),
    )
