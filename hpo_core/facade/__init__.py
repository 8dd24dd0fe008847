"""`hpo` in Python: a study, what came of it, and the models that it registered.

The same checks and the same runner as the command line's, which is written on them: whatever is started here can be
continued there, and the other way round. `from hpo_core import Model, Study, StudyResult` is all that a program needs.
"""
