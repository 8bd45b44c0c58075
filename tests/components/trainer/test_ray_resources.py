from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.ray_resources import (
    ResourceRequest,
    max_cpus_per_worker,
    num_placeable,
    shortage_message,
)

cpus = st.integers(0, 9)
nodes = st.lists(st.builds(lambda n, g: {"CPU": float(n), "GPU": float(g)}, cpus, cpus), max_size=4)


def _num_placeable_by_loop(nodes, bundle):
    """Place one worker after the other."""
    remaining = [dict(node) for node in nodes]
    num_workers = 0
    for node in remaining:
        while all(node.get(name, 0) >= amount for name, amount in bundle.items()):
            for name, amount in bundle.items():
                node[name] -= amount
            num_workers += 1
    return num_workers


@given(nodes=nodes, cpus=st.integers(1, 9), gpus=st.integers(0, 3))
def test_num_placeable_equals_that_of_placing_workers_one_by_one(nodes, cpus, gpus):
    bundle = ResourceRequest(1, cpus, gpus).bundle
    assert num_placeable(nodes, bundle) == _num_placeable_by_loop(nodes, bundle)


@given(nodes=nodes, num_workers=st.integers(1, 6))
def test_max_cpus_per_worker_is_the_largest_with_which_all_workers_fit(nodes, num_workers):
    cpus = max_cpus_per_worker(nodes, num_workers)
    assert cpus >= 1
    assert cpus == 1 or num_placeable(nodes, {"CPU": cpus}) >= num_workers
    assert num_placeable(nodes, {"CPU": cpus + 1}) < num_workers


def test_a_worker_must_fit_on_one_node():
    assert num_placeable([{"CPU": 3}, {"CPU": 3}], {"CPU": 4}) == 0
    assert max_cpus_per_worker([{"CPU": 3}, {"CPU": 1}], num_workers=2) == 1  # not 2, half of 4


def test_the_shortage_message_lists_requested_existing_and_free_resources():
    message = shortage_message(
        ResourceRequest(num_workers=2, cpus_per_worker=4, gpus_per_worker=1),
        nodes=[{"CPU": 8.0, "GPU": 1.0, "memory": 1e9}, {"CPU": 3.0}],
        free={"CPU": 2.5, "memory": 1e9},
    )
    assert message.startswith(
        "Training needs 2 workers with 4 CPUs and 1 GPU each. The Ray cluster has 2 nodes "
        "(8 CPUs and 1 GPU, 3 CPUs and 0 GPUs), with 2.5 CPUs and 0 GPUs free. "
    )


def test_the_shortage_message_of_a_cluster_without_nodes():
    request = ResourceRequest(num_workers=1, cpus_per_worker=1)
    assert "1 worker with 1 CPU each" in shortage_message(request, [], {})
    assert "0 nodes (no nodes), with 0 CPUs free" in shortage_message(request, [], {})
