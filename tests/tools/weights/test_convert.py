"""Checkpoints that hold more than tensors are converted without running anything that they name."""

import argparse
import os
import pickle
import shlex
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from specvid.models import create_model
from specvid.models.weights.read import read_weights
from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak
from specvid.tools.weights.convert import convert_weights, main


class Trap:
    """Runs a command when it is unpickled by an ordinary unpickler."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def state() -> OrderedDict:
    torch.manual_seed(0)
    return OrderedDict({"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3), "steps": torch.tensor(4)})


def convert_to(path: Path) -> None:
    convert_weights(path, path.with_name("out.safetensors"))


def assert_same(path: Path, expected: dict) -> None:
    found = load_file(path)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], tensor.detach()) for name, tensor in expected.items())


@pytest.mark.parametrize("zipped", [True, False])
def test_arguments_and_numpy_numbers(tmp_path: Path, zipped: bool) -> None:
    checkpoint = {
        "state_dict": state(),
        "args": argparse.Namespace(lr=0.1, path=Path("x")),
        "best": np.float64(0.5),
        "history": np.zeros(3),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3}]},
    }
    torch.save(checkpoint, tmp_path / "in.pth", _use_new_zipfile_serialization=zipped)
    done = convert_weights(tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert_same(tmp_path / "out.safetensors", state())
    assert set(done.left_out) == {"args", "best", "history", "optimizer"}
    assert done.left_out["args"] == "argparse.Namespace"
    assert "argparse.Namespace" in done.unknown
    assert "left out: args: argparse.Namespace" in str(done)


@pytest.mark.parametrize("as_pickle", [False, True])
def test_nothing_is_run(tmp_path: Path, as_pickle: bool) -> None:
    trap = tmp_path / "ran"
    checkpoint = {"model": state() if not as_pickle else {"w": np.ones(3)}, "trap": Trap(trap)}
    if as_pickle:
        (tmp_path / "in.pkl").write_bytes(pickle.dumps(checkpoint))
    else:
        torch.save(checkpoint, tmp_path / "in.pkl")
    done = convert_weights(tmp_path / "in.pkl", tmp_path / "out.safetensors")
    assert not trap.exists()
    assert f"{os.mkdir.__module__}.mkdir" in done.unknown
    if as_pickle:  # the trap is one: an ordinary unpickler falls into it
        pickle.loads((tmp_path / "in.pkl").read_bytes())
        assert trap.exists()


def test_a_network_that_was_pickled_whole(tmp_path: Path) -> None:
    network = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4)))
    torch.save(network, tmp_path / "in.pt")
    convert_weights(tmp_path / "in.pt", tmp_path / "out.safetensors")
    assert_same(tmp_path / "out.safetensors", network.state_dict())


def test_a_pickle_of_arrays(tmp_path: Path) -> None:
    arrays = {"params": {"conv": {"kernel": np.arange(6.0).reshape(2, 3)}}, "step": 3}
    (tmp_path / "in.pkl").write_bytes(pickle.dumps(arrays))
    done = convert_weights(tmp_path / "in.pkl", tmp_path / "out.safetensors")
    assert_same(tmp_path / "out.safetensors", {"params.conv.kernel": torch.arange(6.0, dtype=torch.double).view(2, 3)})
    assert done.left_out == {"step": "3"}


def calls(function: str, args: tuple, state: object) -> bytes:
    """A pickle that calls a named function, and then changes what it gave."""
    module, _, name = function.rpartition(".")
    parts = (pickle.dumps(part, 2)[2:-1] for part in (args, state))
    return b"c%s\n%s\n%sR%sb." % (module.encode(), name.encode(), *parts)


def changes(function: str, state: object) -> bytes:
    module, _, name = function.rpartition(".")
    return b"c%s\n%s\n%sb." % (module.encode(), name.encode(), pickle.dumps(state, 2)[2:-1])


def test_a_file_changes_nothing_in_the_process(tmp_path: Path) -> None:
    """What is allowed can be called only: numpy's own classes would let a file change int32 or a function."""
    bad = {
        "functions": changes("torch._utils._rebuild_tensor_v2", (None, {"__defaults__": (1, 2)})),
        "ours": changes("_codecs.encode", (None, {"_function": 1})),
        "records": calls("numpy.dtype", ("V8", False, True), (3, "|", None, ("a",), {}, 8, 1, 63)),
        "classes": calls("numpy.ndarray", ((9,), "O"), {}),
        "codec": calls("_codecs.encode", ("a", "rot13"), {}),
    }
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a sound checkpoint"):
            convert_weights(tmp_path / name, tmp_path / "out.safetensors")
    assert torch._utils._rebuild_tensor_v2.__defaults__ == defaults
    swapped = calls("numpy.dtype", ("i4", False, False), (3, ">", None, None, None, -1, -1, 0))
    (tmp_path / "swapped").write_bytes(swapped)
    with pytest.raises(ValueError, match="no tensors in it"):
        convert_weights(tmp_path / "swapped", tmp_path / "out.safetensors")
    assert np.dtype("i4").isnative


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_kind(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    random = {kind: rng.integers(0, 2, (2, 3)).astype(kind) for kind in ("f2", "f4", "f8", ">f4", ">i8", "u1", "?")}
    arrays = {kind: np.asfortranarray(array) if kind == "f8" else array for kind, array in random.items()}
    (tmp_path / "in.pkl").write_bytes(
        pickle.dumps({**arrays, "name": np.str_("x"), "deep": {"a": random["f4"], "b": 1}}, protocol)
    )
    done = convert_weights(tmp_path / "in.pkl", tmp_path / "out.safetensors")
    assert_same(
        tmp_path / "out.safetensors",
        {kind: torch.from_numpy(array.astype(array.dtype.newbyteorder("="))) for kind, array in random.items()}
        | {"deep.a": torch.from_numpy(random["f4"])},
    )
    assert set(done.left_out) == {"name", "deep.b"}


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "script.pt")
    (tmp_path / "noise.pth").write_bytes(b"not a checkpoint")
    torch.save({"lr": 0.1}, tmp_path / "plain.pth")
    (tmp_path / "array.pkl").write_bytes(pickle.dumps(np.ones(3)))
    (tmp_path / "huge.pkl").write_bytes(calls("torch.Size", ((1 << 70,),), {}))
    (tmp_path / "objects.pkl").write_bytes(pickle.dumps({"a": np.array([object], dtype=object)}))
    cases = {
        "script.pt": "TorchScript archive, which holds a program",
        "noise.pth": "not a sound checkpoint",
        "plain.pth": r"no tensors in it.*\(found: lr\)",
        "array.pkl": r"no tensors in it.*_Array",
        "huge.pkl": "not a sound checkpoint",
        "objects.pkl": "array of Python objects",
        "missing.pth": "there is no such file",
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=message):
            convert_weights(tmp_path / name, tmp_path / "out.safetensors")
    torch.save(state(), tmp_path / "in.pth")
    with pytest.raises(ValueError, match=r"give a name that ends with \.safetensors"):
        convert_weights(tmp_path / "in.pth", tmp_path / "out.pth")
    (tmp_path / "there.safetensors").touch()
    with pytest.raises(ValueError, match="is there already"):
        convert_weights(tmp_path / "in.pth", tmp_path / "there.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("read", [read_weights, convert_to])
def test_megabytes_that_unpack_to_gigabytes_are_not_unpacked(tmp_path: Path, read) -> None:
    """A record of 100 MB of zeros in a file of 100 kB; a tensor of 4 GB that is one number many times."""
    torch.save({"state_dict": {"w": torch.zeros(25_000_000)}}, tmp_path / "plain.pt")
    deflated = zipfile.ZipFile(tmp_path / "deflated.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, deflated:
        for name in plain.namelist():
            deflated.writestr(name, plain.read(name))
    for zipped in (True, False):
        expanded = {"w": torch.ones(1).expand(1_000_000_000)}
        torch.save(expanded, tmp_path / f"expanded{zipped}.pt", _use_new_zipfile_serialization=zipped)
    before = restart_peak()
    for name in ("deflated.pt", "expandedTrue.pt", "expandedFalse.pt"):
        with pytest.raises(ValueError, match=r"its 0\.\d MiB claim to be [\d,.]+ MiB of tensors"):
            read(tmp_path / name)
    assert peak_mebibytes() < before + 50
    assert not (tmp_path / "out.safetensors").exists()


def test_a_bytearray_of_a_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.pkl").write_bytes(calls("builtins.bytearray", (1 << 40,), {}))
    with pytest.raises(ValueError, match="a bytearray of int"):
        convert_to(tmp_path / "in.pkl")


def test_the_advice_of_loading_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`create_model` refuses such a file and names the command; its result loads."""
    source = create_model("r3d_tiny", num_classes=3)
    body = {name.removeprefix("backbone."): tensor for name, tensor in source.backbone.state_dict().items()}
    path = tmp_path / "their best.pth"
    torch.save({"state_dict": body, "args": argparse.Namespace(lr=1)}, path)
    with pytest.raises(ValueError, match="refused") as refusal:
        create_model("r3d_tiny", weights=str(path))
    words = str(refusal.value).partition("`")[2].partition("`")[0]
    words = shlex.split(words)
    assert words == ["python", "-m", "specvid.tools.weights.convert", str(path), str(path.with_suffix(".safetensors"))]
    assert main(words[3:]) == 0
    assert "left out: args: argparse.Namespace" in capsys.readouterr().out
    model = create_model("r3d_tiny", weights=words[4])
    assert all(torch.equal(tensor, body[name]) for name, tensor in model.backbone.state_dict().items())
    assert main(words[3:]) == 2
    assert "is there already" in capsys.readouterr().err


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "in.pth")
    command = [sys.executable, "-m", "specvid.tools.weights.convert", "in.pth", "out.safetensors"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "out.safetensors: 3 tensors, 0.0 MB\n"
