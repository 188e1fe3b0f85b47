"""Files of somebody else with a few bytes changed, or cut off: each is read, or refused by a `ValueError`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from synthetic_videos import numbered_frame, write_numbered, write_video

from specvid.datasets.decode.probe import _avi_header
from specvid.datasets.decode.structure.find import WALKS
from specvid.datasets.layouts.matlab import read_matlab
from specvid.datasets.layouts.table import read_table_set
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.files import load_features, save_features
from specvid.models.weights.read import read_shapes, read_weights

CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)
FRONT = st.sampled_from([1.0, 0.2, 0.02])  # share of the file, from its start, in which bytes are changed
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def features() -> ReidFeatures:
    rng = np.random.default_rng(0)
    ids, cams = np.array([1, 2, 1, 2]), np.array([1, 1, 2, 2])
    vectors = rng.standard_normal((4, 3)).astype(np.float32)
    return ReidFeatures(vectors[:2], vectors, ids[:2], ids, cams[:2], cams)


def make(name: str, path: Path) -> None:
    if name in ("features.npz", "features.parquet"):
        save_features(path, features())
    elif name.endswith(".mat"):
        arrays = {key: value for key, value in vars(features()).items() if isinstance(value, np.ndarray)}
        scipy.io.savemat(path, {**arrays, "query_IDX": np.array([1, 2])}, do_compression=name == "packed.mat")
    elif name == "model.safetensors":
        save_file({"a.weight": torch.zeros(2, 3), "b": torch.ones(4)}, path)
    elif name == "model.pth":
        torch.save({"state_dict": {"a.weight": torch.zeros(2, 3)}}, path)
    elif name == "clips.parquet":
        pq.write_table(pa.table({"path": ["a.avi", "b.avi"], "label": ["x", "y"]}), path)
    elif name in STRUCTURES:
        write_video(path, map(numbered_frame, range(8)), STRUCTURES[name][0])
    else:
        write_numbered(path.parent, "plain.avi", count=3).replace(path)


STRUCTURES = {  # encoder, container
    "parts.avi": ("mpeg4", "avi"),
    "parts.flv": ("flv", "flv"),
    "parts.mkv": ("mpeg4", "matroska"),
    "parts.mpg": ("mpeg2video", "mpeg"),
    "parts.ts": ("mpeg2video", "mpegts"),
    "parts.wmv": ("wmv2", "asf"),
}

READERS: dict[str, Callable[[Path], object]] = {
    "features.npz": load_features,
    "features.parquet": load_features,
    "plain.mat": lambda path: (load_features(path), read_matlab(path, "query_IDX")),
    "packed.mat": lambda path: (load_features(path), read_matlab(path, "query_IDX")),
    "model.safetensors": lambda path: (read_shapes(path), read_weights(path)),
    "model.pth": read_weights,
    "clips.parquet": read_table_set,
    "video.avi": lambda path: _avi_header(str(path), path.stat().st_size),
    **{name: lambda path: WALKS[STRUCTURES[path.name][1]](path.read_bytes()).damage for name in STRUCTURES},
}


@pytest.fixture(scope="module", params=list(READERS))
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    path = tmp_path_factory.mktemp("sound") / request.param
    make(request.param, path)
    READERS[request.param](path) if request.param != "clips.parquet" else None  # its videos are not there
    return request.param, path.read_bytes()


def read(name: str, data: bytes, folder: Path) -> None:
    (folder / name).write_bytes(data)
    said = ""
    try:
        READERS[name](folder / name)
    except ValueError as error:
        said = str(error)
    assert len(said) < 2000


@QUICK
@given(changes=CHANGES, front=FRONT, kept=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_changed(file: tuple[str, bytes], tmp_path: Path, changes: list, front: float, kept: float) -> None:
    name, sound = file
    data = bytearray(sound[: int(kept * len(sound))])
    for place, value in changes:
        if data:
            data[int(place * front * len(data))] = value
    read(name, bytes(data), tmp_path)


@pytest.mark.parametrize(
    "crasher", sorted((Path(__file__).parent / "crashers").glob("*.bin")), ids=lambda path: path.stem
)
def test_what_once_gave_way(crasher: Path, tmp_path: Path) -> None:
    """``crashers/READER-WHAT.bin``: files that ended in a traceback."""
    read(crasher.stem.partition("-")[0], crasher.read_bytes(), tmp_path)
