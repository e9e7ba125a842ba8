"""Pieces of work here and on a cluster of several nodes: the same results, errors and digests."""

import os

import numpy as np
import pytest

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.training_policy import ComputePolicy
from tidegate.process.compute import Local, opened
from tidegate.training.adapter import Job


def squared(given, item):
    return given * item * item


def refuses(_given, item):
    raise DataError("{item} is no good", do="mend it", item=str(item))


def dies_once(folder, item):
    marker = os.path.join(folder, f"died-{item}")
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(1)
    return item


def dies(_given, _item):
    os._exit(1)


def told(log):
    return lambda done, total: log.append((done, total))


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each, on this machine."""
    ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made.address
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def on_ray(cluster):
    with opened(ComputePolicy(engine="ray", address=cluster)) as compute:
        yield compute


def test_here_in_order_with_progress():
    log = []
    assert Local().map(squared, 2, [1, 2, 3], told(log)) == [2, 8, 18]
    assert log == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert Local().map(squared, 2, [], told(log)) == []


def test_on_a_cluster_the_same(on_ray):
    log = []
    assert on_ray.map(squared, 2, [3, 1, 2], told(log)) == [18, 2, 8]
    assert log[-1] == (3, 3)


def test_workers_side_by_side_train_one_network_and_again_to_the_same_bits(cluster):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    pytest.importorskip("ray.train", reason="the extra 'ray' is not installed")
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4))
    y = np.where(x[:, 0] > 0, "a", "b")
    job = Job(task=Task.BINARY, settings={"epochs": 5, "arguments": {"hidden": [8]}}, seed=1)
    with opened(ComputePolicy(engine="ray", address=cluster, workers=2)) as compute:
        first, second = (compute.fit("torch", x, y, job).state for _ in range(2))
    alone = Local().fit("torch", x, y, job).state
    for name, tensor in first.tensors.items():
        assert np.array_equal(tensor, second.tensors[name])
        assert np.allclose(tensor, alone.tensors[name], atol=1e-4)  # sums in another order


def test_what_a_piece_refuses_comes_back_as_it_was(on_ray):
    with pytest.raises(DataError, match="7 is no good: mend it"):
        on_ray.map(refuses, None, [7], told([]))


def test_a_lost_worker_is_tried_again(on_ray, tmp_path):
    assert on_ray.map(dies_once, str(tmp_path), [1, 2], told([])) == [1, 2]
    assert {path.name for path in tmp_path.iterdir()} == {"died-1", "died-2"}


def test_a_worker_that_is_always_lost_is_told_of(on_ray):
    with pytest.raises(WrongUsage, match="lost a piece of work 4 times"):
        on_ray.map(dies, None, [1], told([]))


def test_no_cluster_answers():
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with (
        pytest.raises(WrongUsage, match=r"no Ray cluster answers at 127\.0\.0\.1:1"),
        opened(ComputePolicy(engine="ray", address="127.0.0.1:1")),
    ):
        pass


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with (
        pytest.raises(WrongUsage, match=r"pip install 'tidegate\[ray\]'"),
        opened(ComputePolicy(engine="ray")),
    ):
        pass
