"""Dataset versions: their rows, tags, listings, links to runs, and copies."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_DOUBLE = sa.Float(precision=53)


def _version() -> list[sa.Column[int] | sa.Column[str]]:
    return [
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    ]


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "hpo_dataset_versions",
        *_version(),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("parent", sa.String(160)),
        sa.Column("made", sa.Text, nullable=False),
        sa.Column("created", _DOUBLE, nullable=False),
        sa.Column("deleted", _DOUBLE),
    )
    op.create_table(
        "hpo_dataset_tags",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("tag", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("since", _DOUBLE, nullable=False),
    )
    op.create_table(
        "hpo_dataset_listings",
        sa.Column("listing", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("since", _DOUBLE, nullable=False),
    )
    op.create_table(
        "hpo_dataset_links",
        *_version(),
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("trial", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(128), primary_key=True),
        sa.Column("study", sa.String(512), nullable=False),
        sa.Column("since", _DOUBLE, nullable=False),
    )
    op.create_table(
        "hpo_dataset_snapshots",
        *_version(),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("since", _DOUBLE, nullable=False),
    )
