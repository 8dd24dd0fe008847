"""One Ray cluster for all tests that ask for one: on loopback, started by the first and ended by the last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from object_store import ACCESS
from object_store import bucket as bucket
from object_store import s3_server as s3_server


@pytest.fixture(scope="session")
def cluster(s3_server: str) -> Iterator[str]:
    """Its address. This process is connected to it; others connect by the address.

    It has two processor cores, whatever the machine has, and two pieces of a resource of its own, `bench`. Its nodes
    have the keys to the tests' object store in their environment, as those of a real one do.
    """
    from hpo_ray import cluster  # slow: imports ray

    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {**ACCESS, "AWS_ENDPOINT_URL": s3_server}.items():
                environment.setenv(name, value)
            stack.enter_context(cluster.started(num_cpus=2, resources={"bench": 2}))
        import ray

        address = ray.get_runtime_context().gcs_address
        os.environ["RAY_AUTH_MODE"] = "token"  # for processes that the tests start
        yield address
