"""Ids are frozen: golden vectors fail on any change of framing, dtype names or canonical JSON."""

import struct

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.errors import ParamsError
from tidegate.domain.tensor import DTYPE_BYTES, Tensor
from tidegate.domain.version import Structure, TensorInfo
from tidegate.params.identity import tensor_hasher, tensor_id, version_id

BYTES = bytes(range(1, 49))  # six elements of the widest dtype

GOLDEN_DTYPES = {
    "BF16": "2570ff55022a7b9ac561ab5c48b2fe0c6ccaf0ff950019e01e46ba4a39421efd",
    "BOOL": "43986974c3ba66399eeee8751d8592707804bd132ef05ebd91a739bba92a3f70",
    "C64": "a31397a0645144956567960d56d973b4c4260a63d87059e23f80a2699d648551",
    "F16": "aff25f12edfaedfb374970bf15321aac412f6b95e7232b58fce373c1e047438e",
    "F32": "507d1e1e36638b547208060dc28e5f8148d4474256ca46915a8ec4e748a12c79",
    "F64": "c9de2dafccf89d1f9863d9f29e3a0bd8fb8d0b9aa82471f713e69ad2a9d06571",
    "F8_E4M3": "eddab6987e681eb463357083a83daa5794c781f0d7edc932dc1fcf32f4bb39b1",
    "F8_E4M3FNUZ": "affaa0207e0ccaec2aa98f988925b8b77f929ffaf1e00e8b890ba5acc81a4b94",
    "F8_E5M2": "c6d0a58d1add6719b3303618e0e04341b2f37e4d4e67415ddb03ebcd0aec4d8e",
    "F8_E5M2FNUZ": "513906b5882e60d0de2be956c09747aef1ea2feeb0b1e699bee0d08b60a341a3",
    "F8_E8M0": "77d78334deb2d01e034e5256a077a354b9a706dcada1ab44af766436104bd421",
    "I16": "d31e71fbe4c37d6104fb959fdd71dab6e660b92ec6090357971b291a7f5787ca",
    "I32": "ea5bbe3a206c3e69bb7a41a99b979c1b3b4e9597709ec04fbc6a0164a3a523bb",
    "I64": "5d8ddf93fbd899aaee384044d53ec29c7ec420660f239a53ba3b3af4d5a06d1c",
    "I8": "93873a46cba5534c9c1a5f5b7315c80ba7678c43d7324b859a746fb627a1f568",
    "U16": "a428733065bd76074e80db428445023e6d45aa9fe34a525de239c8a1e665d04d",
    "U32": "4a0a7b721ad1cb8d17af85c0e20d808eb0457004f1e93ac934947663658afdf5",
    "U64": "e6e24b2a4315049cde608b622b9f7c5cba03c307d39a0819034c2c0584d07e2b",
    "U8": "b79d3ce1e25b8dd73775b4efe554952fb25aab35d5923122b2c1f73899e8bcf2",
}

GOLDEN_SPECIAL = {
    "0-d": "0c6bad7d225aaab507798d94877edc26d3d4b7089e356b5ee527cc240dea012f",
    "1-d of one": "fa6ff57177e79da0ba706a4f1488019ee53b4be6cf1a12d07d3a600446366e27",
    "empty": "133d8bdce6ca5cfd857158b3c254f88d8dab4a850b8d30a6495e7aa7cba4f315",
    "empty, two dimensions": "1973703ce14cb8498cc4fea14e6beb07dc6e0ff96fbdda57cbef5ed19089ca5b",
    "0.0": "7b5f91667330f6758e2e18cca5ed7ce5ebd69f002e05c43f6cde15703761f398",
    "-0.0": "53ecdea99b4f05c0497aec9596468dbbb262d4043f61672cce304c03cfbc78fc",
    "quiet NaN": "4888c635612d73cb4fe1adda947435cb9e40d9b88764d0a53bd320a568062904",
    "NaN with a payload": "a07ae006ca8be7c2efe59a6defde3372f0bdc4a52fddb9ba9d252f75f8f6cbe9",
    "odd length": "c5ee94e17a1494ba31aa01e90a4a9a2d899be054282e1a23bfc6b828d8008e9d",
}

SPECIAL = {
    "0-d": Tensor("F32", (), struct.pack("<f", 1.5)),
    "1-d of one": Tensor("F32", (1,), struct.pack("<f", 1.5)),
    "empty": Tensor("F32", (0,), b""),
    "empty, two dimensions": Tensor("F32", (0, 3), b""),
    "0.0": Tensor("F32", (), struct.pack("<f", 0.0)),
    "-0.0": Tensor("F32", (), struct.pack("<f", -0.0)),
    "quiet NaN": Tensor("F32", (), struct.pack("<I", 0x7FC00000)),
    "NaN with a payload": Tensor("F32", (), struct.pack("<I", 0x7FC00001)),
    "odd length": Tensor("U8", (3,), b"abc"),
}


def info(name, id_="0" * 64):
    return TensorInfo(name=name, id=id_, dtype="U8", shape=[0], size_bytes=0)


STRUCTURE = Structure(
    adapter="tensors",
    architecture={"depth": 3, "rate": 0.1, "名": ["水", None, True]},
    groups={"head": ["w"]},
    transform={"mean": [1.0, -0.0]},
    libraries={"numpy": ">=2"},
)

GOLDEN_VERSIONS = {
    "nothing": "1e77cf1e440848d6b80691daba13d1efad13ed2dc619b80f7d5dfcefd1a5d793",
    "one": "879f76857b272c766cd319eb3c1d619d929ab10c77a89013a9d21b4b0bae285f",
    "many": "a1eb0dc6ddef4c81d07101f4ad10db33eae31fe94bb0776bd2d0a8133326ab07",
}

VERSIONS = {
    "nothing": (Structure(adapter="tensors"), []),
    "one": (Structure(adapter="tensors"), [info("w")]),
    "many": (
        STRUCTURE,
        [info(n, i * 64) for n, i in [("w", "1"), ("é", "2"), ("", "3"), ("𝒳", "4")]],
    ),
}


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_tensor_ids_are_frozen_for_every_dtype(dtype):
    tensor = Tensor(dtype, (2, 3), BYTES[: 6 * DTYPE_BYTES[dtype]])
    assert tensor_id(tensor) == GOLDEN_DTYPES[dtype]


@pytest.mark.parametrize("case", sorted(SPECIAL))
def test_tensor_ids_are_frozen_for_odd_tensors(case):
    assert tensor_id(SPECIAL[case]) == GOLDEN_SPECIAL[case]


@pytest.mark.parametrize("case", sorted(VERSIONS))
def test_version_ids_are_frozen(case):
    assert version_id(*VERSIONS[case]) == GOLDEN_VERSIONS[case]


def test_all_golden_ids_differ():
    ids = [*GOLDEN_DTYPES.values(), *GOLDEN_SPECIAL.values(), *GOLDEN_VERSIONS.values()]
    assert len(set(ids)) == len(ids)


def test_an_id_can_be_computed_from_the_documented_framing_alone():
    raw = b"tidegate/tensor/1\nBF16\n2,1\n" + b"abcd"
    assert tensor_id(Tensor("BF16", (2, 1), b"abcd")) == blake3(raw).hexdigest()


@given(data=st.data())
def test_hashing_in_chunks_gives_the_same_id(data, any_tensor):
    tensor = data.draw(any_tensor)
    cut = data.draw(st.integers(0, len(tensor.data)))
    hasher = tensor_hasher(tensor.dtype, tensor.shape)
    hasher.update(tensor.data[:cut]).update(tensor.data[cut:])
    assert hasher.hexdigest() == tensor_id(tensor)


def test_a_view_of_the_bytes_has_the_same_id():
    raw = np.array([True, False])
    view = Tensor("BOOL", (2,), memoryview(raw))
    assert tensor_id(view) == tensor_id(Tensor("BOOL", (2,), raw.tobytes()))


@given(data=st.data())
def test_equal_ids_mean_equal_tensors(data, any_tensor):
    first, second = data.draw(any_tensor), data.draw(any_tensor)
    assert (tensor_id(first) == tensor_id(second)) == (first == second)


@given(names=st.lists(st.text(max_size=5), unique=True), seed=st.randoms())
def test_order_does_not_matter(names, seed):
    infos = [info(name) for name in names]
    shuffled = infos.copy()
    seed.shuffle(shuffled)
    assert version_id(STRUCTURE, infos) == version_id(STRUCTURE, shuffled)


def test_every_part_of_a_version_counts():
    plain = Structure(adapter="tensors")
    variants = [
        version_id(plain, [info("a"), info("b")]),
        version_id(plain, [info("a")]),
        version_id(plain, [info("a"), info("c")]),
        version_id(plain, [info("a"), info("b", "1" * 64)]),
        version_id(Structure(adapter="other"), [info("a"), info("b")]),
        version_id(Structure(adapter="tensors", groups={"g": ["a"]}), [info("a"), info("b")]),
        version_id(Structure(adapter="tensors", transform={}), [info("a"), info("b")]),
        version_id(Structure(adapter="tensors", libraries={"x": "1"}), [info("a"), info("b")]),
        version_id(Structure(adapter="tensors", architecture={"x": 1}), [info("a"), info("b")]),
    ]
    assert len(set(variants)) == len(variants)


def test_a_tensor_cannot_pose_as_a_structure():
    """Not even one whose name is all that a structure's leaf would be."""
    leaf_text = '{"adapter":"tensors"}'
    posing = version_id(Structure(adapter="tensors"), [info(leaf_text)])
    assert posing != version_id(Structure(adapter="tensors"), [])


def test_a_new_field_with_a_default_changes_no_id():
    class Later(Structure):
        compression: str = "none"

    given = STRUCTURE.model_dump()
    assert version_id(Later(**given), [info("w")]) == version_id(STRUCTURE, [info("w")])
    changed = Later(**given, compression="int8")
    assert version_id(changed, [info("w")]) != version_id(STRUCTURE, [info("w")])


def test_a_name_given_twice_is_refused():
    with pytest.raises(ParamsError, match="are both named 'w'"):
        version_id(Structure(adapter="tensors"), [info("w"), info("v"), info("w")])


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"bytes", {1, 2}, "\ud800", object()]
)
def test_a_structure_that_json_cannot_keep_is_refused(value):
    structure = Structure(adapter="tensors", architecture={"value": value})
    with pytest.raises(ParamsError, match="JSON cannot keep exactly"):
        version_id(structure, [])
