"""The tables of a database, as SQLAlchemy Core sees them.

The first half is Optuna's schema, declared again: Optuna's own models are private, cost an import of Optuna to read a
status, and their ORM writes one row a statement, where the ledger writes a batch. A test compares these declarations
with Optuna's models and reads back through `optuna.load_study` what was written through them.

The second half, `hpo_*`, is ours. It refers to Optuna's rows by their ids without foreign keys, so that whoever deletes
a study in a dashboard is not refused.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Enum,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

optuna_metadata = MetaData()
hpo_metadata = MetaData()

_NAME = String(512)
_DOUBLE = Float(precision=53)

studies = Table(
    "studies",
    optuna_metadata,
    Column("study_id", Integer, primary_key=True),
    Column("study_name", _NAME, unique=True, nullable=False),
)
study_directions = Table(
    "study_directions",
    optuna_metadata,
    Column("study_direction_id", Integer, primary_key=True),
    Column("direction", Enum("NOT_SET", "MINIMIZE", "MAXIMIZE", name="studydirection")),
    Column("study_id", Integer, nullable=False),
    Column("objective", Integer, nullable=False),
)
trials = Table(
    "trials",
    optuna_metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
    Column("state", Enum("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING", name="trialstate")),
    # naive, in UTC
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)
trial_params = Table(
    "trial_params",
    optuna_metadata,
    Column("param_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("param_name", _NAME),
    Column("param_value", _DOUBLE),  # Optuna's internal representation: an index for a category
    Column("distribution_json", Text),
    UniqueConstraint("trial_id", "param_name"),
)
trial_values = Table(
    "trial_values",
    optuna_metadata,
    Column("trial_value_id", Integer, primary_key=True),
    Column("trial_id", Integer, nullable=False),
    Column("objective", Integer, nullable=False),
    Column("value", _DOUBLE),
    Column("value_type", Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype")),
    UniqueConstraint("trial_id", "objective"),
)
trial_intermediate_values = Table(
    "trial_intermediate_values",
    optuna_metadata,
    Column("trial_intermediate_value_id", Integer, primary_key=True),
    Column("trial_id", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("intermediate_value", _DOUBLE),
    Column(
        "intermediate_value_type",
        Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype"),
    ),
    UniqueConstraint("trial_id", "step"),
)


def _attributes(table: str, owner: str) -> Table:
    singular = table.removesuffix("s")
    return Table(
        table,
        optuna_metadata,
        Column(f"{singular}_id", Integer, primary_key=True),
        Column(owner, Integer),
        Column("key", _NAME),
        Column("value_json", Text),
        UniqueConstraint(owner, "key"),
    )


study_user_attributes = _attributes("study_user_attributes", "study_id")
study_system_attributes = _attributes("study_system_attributes", "study_id")
trial_user_attributes = _attributes("trial_user_attributes", "trial_id")
trial_system_attributes = _attributes("trial_system_attributes", "trial_id")

# ---- ours; a change here needs a migration in storage/migrations/versions ----

hpo_studies = Table(
    "hpo_studies",
    hpo_metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),  # JSON of StudySpec.identity
    # finished trials in all, `--more` included; NULL: only epochs or hours limit it
    Column("target", Integer),
    Column("extra", Integer, nullable=False),  # what `--more` has added to the file's budget
    Column("directory", Text, nullable=False),
)
hpo_leases = Table(
    "hpo_leases",
    hpo_metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("owner", String(36), nullable=False),  # a UUID of one driver; empty when nobody holds it
    Column("token", Integer, nullable=False),  # grows with every driver
    Column("holder", Text, nullable=False),  # JSON of hpo_core.holding.Holder
    # seconds since the epoch by the database's clock
    Column("since", _DOUBLE, nullable=False),
    Column("expires_at", _DOUBLE, nullable=False),
)
hpo_events = Table(
    "hpo_events",
    hpo_metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("time", _DOUBLE, nullable=False),
    Column("trial", Integer),
    Column("data", Text, nullable=False),  # JSON, in which NaN and Infinity may stand
)
hpo_metrics = Table(
    "hpo_metrics",
    hpo_metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("name", String(256), primary_key=True),
    Column("value", _DOUBLE),  # NULL where the number was NaN or infinite
)
hpo_class_reports = Table(
    "hpo_class_reports",
    hpo_metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    # JSON of hpo_core.ClassReport, in which every character beyond ASCII is escaped: names of classes come from folders
    Column("data", Text, nullable=False),
)
hpo_model_versions = Table(
    "hpo_model_versions",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("study", _NAME, nullable=False),
    Column("study_id", Integer, nullable=False),
    Column("trial", Integer, nullable=False),
    Column("metric", String(256), nullable=False),
    Column("value", _DOUBLE, nullable=False),
    Column("metrics", Text, nullable=False),  # JSON, at the checkpoint's step
    Column("params", Text, nullable=False),  # JSON
    Column("config", Text, nullable=False),  # JSON: the objective with every option
    Column("git_commit", String(64)),
    Column("versions", Text, nullable=False),  # JSON: library -> version
    Column("created", _DOUBLE, nullable=False),
    # JSON: name -> {sha256, size}; empty for versions of before it was kept: they have one file
    Column("files", Text, nullable=False, server_default="{}"),
    Column("provenance", Text, nullable=False, server_default="{}"),  # JSON, as in provenance.json
    Column("evaluation", Text),  # JSON, as in evaluation.json; NULL: nobody measured it
)
hpo_model_aliases = Table(
    "hpo_model_aliases",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("alias", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("since", _DOUBLE, nullable=False),
)
hpo_model_tags = Table(
    "hpo_model_tags",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("key", String(256), primary_key=True),
    Column("value", Text, nullable=False),
)
hpo_model_log = Table(
    "hpo_model_log",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("what", Text, nullable=False),  # JSON
    Column("time", _DOUBLE, nullable=False),
)
hpo_dataset_versions = Table(
    "hpo_dataset_versions",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("root", String(64), nullable=False),  # of the Merkle tree over its files
    Column("files", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes, of all files
    Column("location", Text, nullable=False),  # references unresolved
    Column("store", Text, nullable=False),  # of its manifest; empty: `datasets` beside the database
    Column("parent", String(160)),  # NAME@N
    Column("made", Text, nullable=False),  # JSON: text, recipe
    Column("created", _DOUBLE, nullable=False),
    Column("deleted", _DOUBLE),  # NULL: it is not
)
hpo_dataset_tags = Table(
    "hpo_dataset_tags",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("tag", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("since", _DOUBLE, nullable=False),
)
hpo_dataset_listings = Table(
    "hpo_dataset_listings",
    hpo_metadata,
    # sha256 over the names, sizes and stamps of files, which were those of the version when it was registered
    Column("listing", String(64), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("place", String(64), nullable=False),  # sha256 of where they lie
    Column("since", _DOUBLE, nullable=False),
)
ALL_TRIALS = -1
"""In a link: every trial of the study."""

hpo_dataset_links = Table(
    "hpo_dataset_links",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("trial", Integer, primary_key=True, autoincrement=False),  # or ALL_TRIALS
    Column("role", String(128), primary_key=True),
    Column("study", _NAME, nullable=False),
    Column("since", _DOUBLE, nullable=False),
)
hpo_dataset_snapshots = Table(
    "hpo_dataset_snapshots",
    hpo_metadata,
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("store", Text, nullable=False),  # as in the version's row
    Column("since", _DOUBLE, nullable=False),
)
