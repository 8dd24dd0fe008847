"""`hpo predict`: labels for images, by a model version or an exported folder; what cannot be read has a row, too."""
