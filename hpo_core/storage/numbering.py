"""Numbers of trials that others put into a study through Optuna while a driver ran it.

Both count the rows that they see, so both may give a number away. The driver's trial keeps it: events and folders are
named by it. The other one, which nobody has started, gets the next free number when a driver opens the study.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from hpo_core.storage.tables import trial_user_attributes, trials


def renumber(connection: Connection, study_id: int) -> None:
    """Give each trial of a study a number of its own."""
    of_study = trials.c.study_id == study_id
    twice = select(trials.c.number).where(of_study).group_by(trials.c.number)
    taken = twice.having(func.count() > 1).scalar_subquery()
    query = select(trials.c.trial_id, trials.c.number).where(of_study & trials.c.number.in_(taken))
    rows = connection.execute(query.order_by(trials.c.number, trials.c.trial_id)).all()
    if not rows:
        return
    started = _started(connection, [row.trial_id for row in rows])
    free = connection.execute(select(func.max(trials.c.number)).where(of_study)).scalar_one() + 1
    for number in dict.fromkeys(row.number for row in rows):
        ids = [row.trial_id for row in rows if row.number == number]
        keeper = next((trial_id for trial_id in ids if trial_id in started), ids[0])
        for trial_id in ids:
            if trial_id != keeper:
                moved = update(trials).where(trials.c.trial_id == trial_id)
                connection.execute(moved.values(number=free))
                free += 1


def _started(connection: Connection, ids: list[int]) -> set[int]:
    """Those that a driver has started."""
    table = trial_user_attributes
    query = select(table.c.trial_id).where((table.c.key == "attempt") & table.c.trial_id.in_(ids))
    return set(connection.execute(query).scalars())
