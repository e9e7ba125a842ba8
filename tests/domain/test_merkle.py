"""RFC 6962, section 2.1: the vectors of certificate transparency, and the laws of appending."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import merkle

LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
#: Roots of the first one to eight leaves, as published with certificate-transparency.
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def recursive(leaves):
    """The definition, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return merkle.node_hash(recursive(leaves[:k]), recursive(leaves[k:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size):
    leaves = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES[:size]]
    assert merkle.root(leaves).hex() == ROOTS[size - 1]


def test_the_root_of_nothing():
    assert merkle.root([]) == merkle.EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_appending_one_by_one_gives_the_defined_root(datas):
    leaves = [merkle.leaf_hash(data) for data in datas]
    frontier = []
    for size, leaf in enumerate(leaves):
        frontier = merkle.append(frontier, size, leaf)
        assert len(frontier) == (size + 1).bit_count()
    assert merkle.frontier_root(frontier) == recursive(leaves) == merkle.root(leaves)


@given(st.binary(max_size=64))
def test_a_leaf_is_never_a_node(data):
    assert merkle.leaf_hash(data) != merkle.node_hash(data[:32], data[32:])


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_a_path_leads_from_its_leaf_to_the_root_and_from_nothing_else(content, data):
    leaves = [merkle.leaf_hash(leaf) for leaf in content]
    assert merkle.root_of_all(leaves) == merkle.root(leaves) == recursive(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, size = merkle.inclusion_path(leaves, index), len(leaves)
    root = merkle.root(leaves)
    assert merkle.root_from_path(leaves[index], index, size, path) == root
    assert merkle.root_from_path(merkle.leaf_hash(b"another"), index, size, path) != root
    assert merkle.root_from_path(leaves[index], index, size, [*path, root]) is None
    assert merkle.root_from_path(leaves[index], size, size, path) is None
    if path:
        assert merkle.root_from_path(leaves[index], index, size, path[:-1]) is None
        place = data.draw(st.integers(0, len(path) - 1))
        other = [*path[:place], merkle.leaf_hash(path[place]), *path[place + 1 :]]
        assert merkle.root_from_path(leaves[index], index, size, other) != root
