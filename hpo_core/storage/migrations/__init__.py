"""Alembic's migrations of the side tables; Optuna keeps its own tables' schema itself."""
