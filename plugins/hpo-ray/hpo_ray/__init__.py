"""`hpo-ray`: trials on a Ray cluster, and studies submitted to one."""
