"""`hpo-ray`: trials on a Ray cluster, and studies submitted to one."""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_commands(register: Register) -> None:
    """Offer `hpo submit`."""
    register("submit", "hpo_ray.submit:app")


@hookimpl
def register_executors(register: Register) -> None:
    """Offer `ray`."""
    register("ray", "hpo_ray.executor:RayExecutor")
