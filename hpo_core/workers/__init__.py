"""Worker processes: what executors share that run trials in processes of their own.

`drive.Drive` runs a study over a pool of workers; `pool.Pool` is the one of this machine: a template process that
imports what the objective needs once, and workers forked from it. An executor on this machine puts the two together;
one on a cluster has a pool of its own, whose far ends are pools of one worker on other machines.
"""
