"""The database: one of Optuna's, with side tables beside it, that only the driver of a study writes.

`database` opens it; `tables` declares what is in it; `ledger` is the one place that writes a study; `leases` sees to it
that a study has one driver, and `outages` that it outlasts the database's absence; `reading` answers the questions of
`hpo status` and the like without importing Optuna; `migrations` are alembic's for the side tables.
"""
