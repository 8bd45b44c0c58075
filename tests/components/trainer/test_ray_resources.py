from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.ray_resources import Need, room, share_of_cpus, shortage

cpus = st.integers(0, 9)
nodes = st.lists(st.builds(lambda n, g: {"CPU": float(n), "GPU": float(g)}, cpus, cpus), max_size=4)


def _room_by_taking(nodes, bundle):
    """Takes away one worker after the other."""
    left = [dict(node) for node in nodes]
    workers = 0
    for node in left:
        while all(node.get(name, 0) >= amount for name, amount in bundle.items()):
            for name, amount in bundle.items():
                node[name] -= amount
            workers += 1
    return workers


@given(nodes=nodes, cpus=st.integers(1, 9), gpus=st.integers(0, 3))
def test_room_is_what_is_left_to_take(nodes, cpus, gpus):
    bundle = Need(1, cpus, gpus).bundle
    assert room(nodes, bundle) == _room_by_taking(nodes, bundle)


@given(nodes=nodes, workers=st.integers(1, 6))
def test_the_share_is_the_most_that_all_workers_can_have(nodes, workers):
    share = share_of_cpus(nodes, workers)
    assert share >= 1
    assert share == 1 or room(nodes, {"CPU": share}) >= workers
    assert room(nodes, {"CPU": share + 1}) < workers


def test_a_worker_needs_its_cpus_on_one_node():
    assert room([{"CPU": 3}, {"CPU": 3}], {"CPU": 4}) == 0
    assert share_of_cpus([{"CPU": 3}, {"CPU": 1}], workers=2) == 1  # not 2, half of 4


def test_a_shortage_names_what_was_asked_what_there_is_and_what_is_free():
    message = shortage(
        Need(workers=2, cpus=4, gpus=1),
        nodes=[{"CPU": 8.0, "GPU": 1.0, "memory": 1e9}, {"CPU": 3.0}],
        free={"CPU": 2.5, "memory": 1e9},
    )
    assert message.startswith(
        "Training needs 2 workers with 4 CPUs and 1 GPU each. The Ray cluster has 2 nodes "
        "(8 CPUs and 1 GPU, 3 CPUs and 0 GPUs), with 2.5 CPUs and 0 GPUs free. "
    )


def test_a_cluster_without_nodes_has_words_too():
    need = Need(workers=1, cpus=1)
    assert "1 worker with 1 CPU each" in shortage(need, [], {})
    assert "0 nodes (no nodes), with 0 CPUs free" in shortage(need, [], {})
