"""Augmentations: what is done to training images before a model sees them, each image in its own way.

The modules without an underscore hold the factories, whose signatures a study file is checked against, and import
nothing heavy; the others hold the work, on batches of images (N, C, H, W).
"""
