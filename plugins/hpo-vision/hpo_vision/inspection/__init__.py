"""`hpo data`: what a dataset is like, whether it is to be trusted, and its images as files."""
