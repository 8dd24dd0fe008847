"""Questions about what trials reported: over one study or many, by option, by epoch, by class.

Everything here reads and nothing writes. The database is asked with bound parameters only: what a user types never
becomes SQL. scipy and numpy, which the statistics need, are imported where they are used.
"""
