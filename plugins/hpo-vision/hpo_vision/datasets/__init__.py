"""Datasets of labelled images: what a study file names, and how files, tables and annotations become batches.

A registered factory's module is light; what imports torch is in the module of the same name that starts with `_`.
"""
