"""The command line: one module per group of commands; each parses, calls one function and prints.

stdout carries data, stderr everything else. Nothing here is imported by the rest of the core.
"""
