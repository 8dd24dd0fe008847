"""Model versions: the best checkpoint of a study under a name, with where it came from."""
