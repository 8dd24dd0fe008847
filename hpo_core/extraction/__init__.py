"""From plain text to a study: rules find a model, a learning rate and the like, and say where each was found.

Nothing here learns, guesses or executes: the rules are regular expressions over the names that the installed plugins
offer, so the same text gives the same study.
"""
