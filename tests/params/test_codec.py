"""Every encoding gives back every bit; the smallest is used; made-up bytes are refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.params.packed.codec import (
    Damaged,
    Kind,
    decode,
    difference,
    encode,
    encode_alone,
)

RNG = np.random.default_rng(0)
N = 1 << 18


def encoded(new, old, alone=None):
    steps = difference(new, old, np.empty_like(new))
    return encode(new, old, steps, new.nbytes if alone is None else alone)


def decoded(frame, old, like):
    out = np.empty_like(like)
    decode(frame.kind, frame.data, old, out)
    return out


@st.composite
def pairs(draw):
    """Old and new bits of one width, from equal to unrelated."""
    width = draw(st.sampled_from([1, 2, 4, 8]))
    size = draw(st.integers(1, 3000))
    old = np.frombuffer(RNG.bytes(size * width), f"<u{width}")
    new = old.copy()
    where = RNG.random(size) < draw(st.sampled_from([0.0005, 0.02, 0.5, 1.0]))
    kind = draw(st.sampled_from(["step", "sign", "other", "wrap"]))
    if kind == "step":
        new[where] += new.dtype.type(1)
    elif kind == "sign":
        new[where] ^= new.dtype.type(1 << (8 * width - 1))
    elif kind == "wrap":
        new[where] = ~new[where]
    else:
        new[where] = np.frombuffer(RNG.bytes(size * width), new.dtype)[where]
    new[draw(st.integers(0, size - 1))] ^= new.dtype.type(1)  # never the same
    return old, new


@given(pair=pairs())
def test_every_bit_comes_back(pair):
    old, new = pair
    if not (old != new).any():
        return
    for frame in (encoded(new, old), encode_alone(new)):
        assert (decoded(frame, old, new) == new).all()
        assert len(frame.data) <= new.nbytes


@given(pair=pairs())
def test_steps_are_zigzag_and_small_between_neighbours(pair):
    old, new = pair
    steps = difference(new, old, np.empty_like(new))
    bits = 8 * new.itemsize
    for a, b, step in zip(old.tolist(), new.tolist(), steps.tolist(), strict=True):
        signed = (b - a + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
        assert step == (2 * signed if signed >= 0 else -2 * signed - 1)


def floats(size=N):
    return (RNG.standard_normal(size, np.float32) * np.float32(0.02)).view("<u4")


def stepped(bits, sd):
    values = bits.view(np.float32)
    return (values * (1 + RNG.standard_normal(bits.size, np.float32) * np.float32(sd))).view("<u4")


def bf16(size=N):
    return (floats(size) >> np.uint32(16)).astype("<u2")


@pytest.mark.parametrize(
    ("old", "change", "kind", "share"),
    [
        (floats(), lambda old: stepped(old, 1e-3), Kind.ULP, 0.50),
        (bf16(), lambda old: old + RNG.choice([0, 1, 65535], old.size, p=[0.7, 0.15, 0.15])
         .astype("<u2"), Kind.ULP, 0.085),
        (floats(), lambda old: np.where(RNG.random(old.size) < 1e-3, floats(), old), Kind.SPARSE,
         0.007),
        (floats(), lambda old: old ^ RNG.choice([0, 1 << 3, 1 << 17, 1 << 30], old.size), Kind.XOR,
         0.09),
        (bf16(), lambda old: bf16(), Kind.PLANES, 0.75),
        (floats(), lambda old: floats(), Kind.RAW, 1.0),
        (RNG.integers(0, 1 << 32, N, dtype="<u4"), lambda old: RNG.integers(0, 1 << 32, N, "<u4"),
         Kind.RAW, 1.0),
    ],
)  # fmt: skip
def test_the_smallest_is_used(old, change, kind, share):
    new = change(old).astype(old.dtype)
    frame = encoded(new, old, alone=0.75 * old.nbytes if kind is Kind.PLANES else None)
    assert frame.kind is kind
    assert len(frame.data) <= share * new.nbytes
    assert (decoded(frame, old, new) == new).all()


@given(kind=st.sampled_from(list(Kind)), data=st.binary(max_size=200), size=st.integers(0, 40))
def test_bytes_that_no_encoder_wrote_are_refused(kind, data, size):
    old = np.zeros(size, "<u4")
    if kind is Kind.RAW and len(data) == old.nbytes:
        return
    with pytest.raises(Damaged):
        decode(kind, data, old, np.empty_like(old))
        assert not data
        raise Damaged  # nothing encodes nothing


@given(cut=st.integers(0, 1 << 30), value=st.integers(0, 255))
def test_a_changed_frame_is_refused_or_stays_in_its_block(cut, value):
    """The hash of a frame is checked before; but nothing may ever leave the block's memory."""
    old = floats(2000)
    for frame in (encoded(stepped(old, 1e-4), old), encoded(old ^ (np.arange(2000) == 7), old)):
        raw = bytearray(frame.data)
        raw[cut % len(raw)] = value
        guard = np.full(2000 + 64, 7, "<u4")
        with contextlib.suppress(Damaged):
            decode(frame.kind, bytes(raw), old, guard[32:-32])
        assert (guard[:32] == 7).all()
        assert (guard[-32:] == 7).all()


def test_a_delta_without_the_block_before_is_refused():
    old = floats(2000)
    frame = encoded(stepped(old, 1e-4), old)
    assert frame.kind.is_delta
    with pytest.raises(Damaged):
        decode(frame.kind, frame.data, None, np.empty_like(old))
