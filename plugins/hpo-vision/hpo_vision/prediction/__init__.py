"""`hpo predict`: labels for images, by a model version or an exported folder; and, file by file, what cannot be read."""
