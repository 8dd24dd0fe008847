"""The side tables: studies, events, metrics per epoch, model versions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_DOUBLE = sa.Float(precision=53)


def upgrade() -> None:
    """Create the first four side tables."""
    op.create_table(
        "hpo_studies",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("target", sa.Integer, nullable=False),
        sa.Column("extra", sa.Integer, nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
    )
    op.create_table(
        "hpo_events",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("time", _DOUBLE, nullable=False),
        sa.Column("trial", sa.Integer),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "hpo_metrics",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("trial", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("value", _DOUBLE),
    )
    op.create_table(
        "hpo_model_versions",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("study", sa.String(512), nullable=False),
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("metric", sa.String(256), nullable=False),
        sa.Column("value", _DOUBLE, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("git_commit", sa.String(64)),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("created", _DOUBLE, nullable=False),
    )
