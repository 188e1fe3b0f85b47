"""Files of torch that were made to take the memory or the time of whoever reads them."""

import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from specvid.models.factory import create_model
from specvid.models.weights.read import WRAPPERS, read_weights
from specvid.tools.weights.convert import convert_weights

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")


def bytes_of_a_length(path: Path, length: int) -> None:
    """A pickle of bytearray(bytearray(length)), which torch calls: twice the length in memory, in 400 bytes."""
    call = b"c__builtin__\nbytearray\n"
    number = b"\x8a\x08" + struct.pack("<q", length)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}X\x01\x00\x00\x00a" + 2 * call + number + 2 * b"\x85R" + b"s.")
        archive.writestr("archive/version", "3\n")


@LINUX
def test_a_few_bytes_do_not_take_gigabytes(tmp_path: Path) -> None:
    """In a process of its own, whose peak is the file's."""
    bytes_of_a_length(tmp_path / "bomb.pt", 3 << 30)
    code = (
        "import resource, sys; from specvid.models.weights.read import read_weights\n"
        "from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak\n"
        "before = restart_peak()\n"
        "try:\n    read_weights(sys.argv[1])\n"
        "except ValueError as error:\n    print(error)\n"
        "print(int(peak_mebibytes() - before), resource.getrlimit(resource.RLIMIT_AS)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "bomb.pt"], capture_output=True, text=True, check=True
    )
    reason, figures = done.stdout.splitlines()
    assert "bomb.pt': not a sound torch file (MemoryError)" in reason
    taken, limit = map(int, figures.split())
    assert taken < 700
    assert limit == -1  # as before


@pytest.mark.parametrize("read", [read_weights, lambda path: convert_weights(path, path.with_suffix(".safetensors"))])
@pytest.mark.parametrize("kind", ["shared", "itself", "modules"])
def test_dictionaries_that_stand_in_each_other_without_end(kind: str, read, tmp_path: Path) -> None:
    content: dict = {}
    if kind == "shared":
        for _ in range(12):
            content = dict.fromkeys(WRAPPERS, content)
    elif kind == "itself":
        content["state_dict"] = content
    else:
        for _ in range(30):
            content = {"a": content, "b": content}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x.pt': .*its dictionaries stand in each other more than 100,000 times"):
        read(tmp_path / "x.pt")


def test_a_tar_of_weights_is_refused_without_reading_it(tmp_path: Path) -> None:
    """Python's reader of tar files reads names of any length before anybody can ask how long they are."""
    header = bytearray(512)
    header[124:136], header[156:157], header[257:263] = b"%011o\0" % (1 << 33), b"L", b"ustar "
    (tmp_path / "x.tar").write_bytes(header)
    with pytest.raises(ValueError, match="a tar file or a TorchScript archive"):
        convert_weights(tmp_path / "x.tar", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.zeros(3, 3, device="meta"), "on the meta device, without numbers"),
        (torch.eye(3).to_sparse(), "sparse_coo"),
        (torch.eye(3).to_sparse_csr(), "sparse_csr"),
    ],
    ids=["meta", "coo", "csr"],
)
def test_tensors_without_a_number_for_each_place(tensor: torch.Tensor, kind: str, tmp_path: Path) -> None:
    sound = create_model("r3d_tiny", num_classes=3).state_dict()
    path = tmp_path / "w.pt"
    for content in ({**sound, "backbone.a": tensor}, {"state_dict": {**sound, "backbone.a": tensor}}):
        torch.save(content, path)
        with pytest.raises(ValueError, match=rf"w\.pt': .*tensor '.*backbone\.a' in it is {kind}"):
            create_model("r3d_tiny", num_classes=3, weights=path)


def test_lists_that_stand_in_each_other_without_end(tmp_path: Path) -> None:
    content: list = [0]
    for _ in range(40):
        content = [content, content]
    torch.save({"state_dict": {"a": torch.zeros(2)}, "other": content}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="stand in each other"):
        read_weights(tmp_path / "w.pt")
