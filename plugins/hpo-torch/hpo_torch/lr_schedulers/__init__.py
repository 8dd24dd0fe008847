"""LR schedulers: from an optimizer and the number of its steps to a torch `LRScheduler`.

The objective calls `.step()` after every optimizer step, T times in all. Every horizon is a fraction of T, so that a
schedule means the same for three epochs as for ninety: a step schedule written in epochs, run for fewer, would be a
constant one under another name. Horizons are rounded to steps and are at least one, so each T from 1 up is valid.

In the docstrings t = 0, 1, ... T-1 is the number of optimizer steps already made, and eta(t) the rate of the next one,
in units of the optimizer's own rate: each stays in [0, 1], and groups of parameters keep their ratios. ⌊fraction T⌉ is
rounding to a whole number of at least 1.

The formula is also how most of them are computed (`curve.follow`), and not by torch's class of that name: torch's take
an absolute end of the rate, which groups with rates of their own cannot share (`eta_min`); accumulate rounding by going
from each rate to the next; and cannot all be restored from JSON (`MultiStepLR` counts by whole-number keys). The tests
hold each formula against torch's class.

`catalogue` lists all names; a module holds a family: `drops`, `decays`, `cosines`, `cycles`, `warmups`, `warmed`,
`plateaus`, `averaged`. Annotations suggest what to search (`search: true`).
"""
