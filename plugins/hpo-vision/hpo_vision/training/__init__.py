"""The objective `image-classification`: a trial's training on Lightning, and its model's evaluation on the part `test`.

`classification`, `settings` and `suitability` are light: a study file is checked with them. The others import torch.
"""
