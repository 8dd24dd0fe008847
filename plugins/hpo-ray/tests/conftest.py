"""One Ray cluster for all tests that ask for one: on loopback, started by the first and ended by the last."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Its address. This process is connected to it; others connect by the address.

    It has two processor cores, whatever the machine has, and two pieces of a resource of its own, `bench`.
    """
    from hpo_ray import cluster  # slow: imports ray

    with cluster.started(num_cpus=2, resources={"bench": 2}):
        import ray

        address = ray.get_runtime_context().gcs_address
        os.environ["RAY_AUTH_MODE"] = "token"  # for processes that the tests start
        yield address
