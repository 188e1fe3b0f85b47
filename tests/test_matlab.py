"""The reader of MATLAB files: SciPy's numbers of sound ones, one line for altered ones, little memory for bombs."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from shared_data import shared

from specvid import matlab, memory
from specvid.datasets.layouts.matlab import read_matlab
from specvid.matlab import MatlabFile

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?")


def save(path: Path, content: dict[str, object], compressed: bool = False) -> Path:
    scipy.io.savemat(path, content, do_compression=compressed, oned_as="row")
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_it_reads_what_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    rng = np.random.default_rng(0)
    content = {f"of_{kind.replace('?', 'bool')}": (rng.random((3, 4)) * 100).astype(kind) for kind in TYPES}
    content |= {"cube": rng.standard_normal((2, 3, 4)), "empty": np.zeros((0, 3)), "one": np.array([[7.0]])}
    content |= {"text": np.array(["a.jpg", "bc.jpg"]), "long_name_of_an_array": rng.standard_normal((200, 300))}
    file = MatlabFile(save(tmp_path / "a.mat", content, compressed))
    known = scipy.io.loadmat(tmp_path / "a.mat")
    assert list(file.variables) == [name for name in known if not name.startswith("__")]
    for name, variable in file.variables.items():
        read = file.read(name)
        np.testing.assert_array_equal(read, known[name])
        assert read.dtype == known[name].dtype and variable.shape[:1] == read.shape[:1]


@pytest.mark.data
@pytest.mark.parametrize("name", ["query_IDX", "tracks_test_info", "tracks_train_info"])
def test_it_reads_the_lists_of_mars_as_scipy_does(name: str) -> None:
    path = shared("data/mars-info") / f"{name}.mat"
    file = MatlabFile(path)
    (variable,) = file.variables
    np.testing.assert_array_equal(file.read(variable), scipy.io.loadmat(path)[variable])


def element(kind: int, data: bytes, order: str) -> bytes:
    return struct.pack(f"{order}2I", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")


def array(name: str, values: np.ndarray, order: str, shape: tuple[int, ...] | None = None) -> bytes:
    """A double matrix in the bytes of the format."""
    inner = element(6, struct.pack(f"{order}2I", 6, 0), order)
    inner += element(5, struct.pack(f"{order}2i", *(shape or values.shape)), order) + element(1, name.encode(), order)
    return element(14, inner + element(9, values.astype(f"{order}f8").tobytes("F"), order), order)


def header(order: str) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 256) + (b"IM" if order == "<" else b"MI")


@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders(tmp_path: Path, order: str) -> None:
    values = np.arange(6.0).reshape(2, 3)
    (tmp_path / "a.mat").write_bytes(header(order) + array("x", values, order))
    np.testing.assert_array_equal(MatlabFile(tmp_path / "a.mat").read("x"), values)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "a.mat")["x"], values)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_byte_changed(tmp_path: Path, compressed: bool) -> None:
    """Each byte to 0, 255 and its neighbour: read, or one line; and no other number where a checksum says so."""
    content = {"query_IDX": np.arange(1, 40), "t": np.array(["ab", "cd"]), "z": np.array([1.0 + 2j]), "c": {"a": 1}}
    path = save(tmp_path / "query_IDX.mat", content, compressed)
    sound, refused = path.read_bytes(), 0
    for place in range(124, len(sound)):
        for value in {0, 255, sound[place] ^ 1} - {sound[place]}:
            path.write_bytes(sound[:place] + bytes([value]) + sound[place + 1 :])
            try:
                read = read_matlab(path, "query_IDX")
            except ValueError as error:
                refused += 1
                said = str(error)
            else:
                assert not compressed or np.array_equal(read, content["query_IDX"][None])
                continue
            assert said.startswith(str(path)) and "\n" not in said and len(said) < 2000
    assert refused > len(sound) // 4


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "it is empty, cut off, or of another kind"),
        (b"\0\0\0\0\3\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0x\0" + bytes(200), "version 4; save it with -v7"),
        (header("<") + element(14, b"", "<"), "it is damaged or cut off within an array"),
        (header("<") + struct.pack("<2I", 14, 2**32 - 1), "damaged or cut off at byte 128"),
        (header("<") + array("x", np.zeros((1, 1)), "<", (2**31 - 1, 2**31 - 1)), "claims the shape"),
        (header("<") + array("x", np.zeros((1, 1)), "<", (-1, 1)), "damaged: an array of the shape"),
        (header("<") + array("x", np.zeros((1, 1)), "<") * 2, "has two variables x"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes, rule: str) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(ValueError, match=rf"x\.mat cannot be read as a MATLAB file \(.*{rule}"):
        read_matlab(tmp_path / "x.mat", "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 0.5])
def test_numbers_that_count_nothing(tmp_path: Path, value: float, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ValueError, match="must hold whole numbers"):
        read_matlab(save(tmp_path / "x.mat", {"x": np.array([value])}), "x")
    assert not recwarn.list


def bomb(claimed: int, unpacked: int) -> bytes:
    """A compressed array that claims so many bytes and unpacks to so many."""
    inner = struct.pack("<2I", 14, claimed) + array("x", np.zeros((1, 1)), "<")[8:40]
    inner += element(1, b"x", "<") + struct.pack("<2I", 9, max(0, claimed - 56)) + bytes(unpacked)
    packed = zlib.compress(inner, 9)
    return header("<") + struct.pack("<2I", 15, len(packed)) + packed


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, taken = tmp_path / "x.mat", []
    path.write_bytes(bomb(2**32 - 8, 1000))
    with pytest.raises(ValueError, match="claims 4,294,967,288 bytes, and lies in"):
        MatlabFile(path)
    path.write_bytes(bomb(1000, 2**24))  # more than it claims
    unpack = matlab._unpack
    monkeypatch.setattr(matlab, "_unpack", lambda *args, **named: taken.append(unpack(*args, **named)) or taken[-1])
    with pytest.raises(ValueError, match="has more than it claims"):
        MatlabFile(path).read("x")
    assert max(map(len, taken)) <= 65536
    path.write_bytes(bomb(2**24, 2**24))  # as it claims, and more than there is
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
    with pytest.raises(ValueError, match="array x takes"):
        MatlabFile(path).read("x")
    assert max(map(len, taken)) <= 65536
