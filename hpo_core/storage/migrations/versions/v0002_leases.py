"""Leases; and studies without a number of trials, which epochs or hours limit."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_DOUBLE = sa.Float(precision=53)


def upgrade() -> None:
    """Create the leases, and let `target` be NULL."""
    op.create_table(
        "hpo_leases",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.String(36), nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("since", _DOUBLE, nullable=False),
        sa.Column("expires_at", _DOUBLE, nullable=False),
    )
    with op.batch_alter_table("hpo_studies") as studies:
        studies.alter_column("target", existing_type=sa.Integer, nullable=True)
