"""Tables of crops: rows are grouped into tracklets, in their order, and embedded as the folder of their images is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.tracklets import read_table
from specvid.pipelines.embed.config import EmbedConfig, JobConfig, OutputConfig, WindowConfig
from specvid.pipelines.embed.inputs import find_inputs
from specvid.pipelines.embed.launch import embed
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.reading import crop_frames
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.pipelines.search.deleting import delete
from specvid.pipelines.search.query import search
from specvid.pipelines.search.report import as_text


def config(**windows: object) -> EmbedConfig:
    return EmbedConfig(
        NetworkConfig(model="r3d_tiny"),
        input=InputConfig(frames=4, stride=1, size=32, resize=32),
        windows=WindowConfig(**windows),
        job=JobConfig(device="cpu", workers=0, batch_size=2),
    )


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Three tracklets of 6 crops, in a shuffled table; the folders have the same images in order."""
    rows = ["path,pid,camid,track,frame,score"]
    rng = np.random.default_rng(0)
    for pid, camid, track in (("0022", 1, 7), ("0022", 2, 8), ("0023", 1, 9)):
        folder = tmp_path / str(track)
        folder.mkdir()
        for frame in range(6):
            Image.fromarray(rng.integers(0, 255, (40, 36, 3), np.uint8)).save(folder / f"{frame}.png")
            (tmp_path / "crops").mkdir(exist_ok=True)
            name = f"crops/{rng.integers(1 << 40):x}.png"
            (tmp_path / name).write_bytes((folder / f"{frame}.png").read_bytes())
            rows.append(f"{name},{pid},{camid},{track},{frame},{rng.random():.3f}")
    order = [0, *(1 + rng.permutation(len(rows) - 1))]
    (tmp_path / "crops.csv").write_text("\n".join(rows[i] for i in order) + "\n")
    return tmp_path


def test_crops_are_tracklets(crops: Path) -> None:
    lines: list[str] = []
    outcome = embed([crops / "crops.csv"], crops / "out", config(), echo=lines.append)
    assert outcome.failed == 0
    rows = pq.read_table(crops / "out" / "embeddings").to_pylist()
    assert [row["id"] for row in rows] == ["0022/1/7", "0022/2/8", "0023/1/9"]
    assert [(row["pid"], row["camid"], row["track"]) for row in rows] == [
        ("0022", 1, 7),
        ("0022", 2, 8),
        ("0023", 1, 9),
    ]
    assert {(row["start_s"], row["first_frame"], row["last_frame"]) for row in rows} == {(None, 0, 5)}
    assert any("18 images in 3 tracklets, by pid, camid, track" in line for line in lines)
    assert any("score differ within tracklets, and are not carried over" in line for line in lines)
    embed([crops / "7", crops / "8", crops / "9"], crops / "folders", config(fps=3.0))
    folders = pq.read_table(crops / "folders" / "embeddings").to_pylist()
    assert [row["embedding"] for row in folders] == [row["embedding"] for row in rows]
    assert folders[0]["end_s"] == 2.0
    answer = search(crops / "out", "0022/1/7", k=2, where="camid != 1", device="cpu")
    assert [row.columns["id"] for row in answer.rows] == ["0022/2/8"]


def test_every_crop_is_seen_by_a_network_of_images(crops: Path) -> None:
    """Crops were chosen by whoever cut them: the stride of the network's clips of videos is none of theirs."""
    rows = {}
    for name, stride in (("own", None), ("each", 1), ("fourth", 4)):
        made = replace(
            config(),
            network=NetworkConfig(model="mobilenet_v2"),
            input=InputConfig(frames=3, stride=stride, size=32, resize=32),
        )
        embed([crops / "crops.csv"], crops / name, made)
        rows[name] = np.stack([row["embedding"] for row in pq.read_table(crops / name / "embeddings").to_pylist()])
    assert np.array_equal(rows["own"], rows["each"])
    assert not np.array_equal(rows["own"], rows["fourth"])


def mean_of_crops(images: list[Path], network: Network) -> np.ndarray:
    """The slow form: each crop as a clip of its own."""
    spec = ClipSpec.of(network.input)
    clips = [crop_frames(np.asarray(Image.open(image))[None], spec) for image in images]
    return network(torch.from_numpy(np.stack(clips))).double().mean(0).numpy()


@pytest.mark.parametrize("words", [{}, {"window": "uniform", "clips": 3}])
@pytest.mark.parametrize("feature", ["penultimate", "logits", "block:conv3"])
def test_each_crop_counts_once(tmp_path: Path, feature: str, words: dict) -> None:
    """Of 20 crops clips of eight overlap, of 5 one is looped: crops 6, 7, 12 and 13 counted twice, and three of 5."""
    rng, rows = np.random.default_rng(0), ["path,track"]
    images: dict[str, list[Path]] = {}
    for track, count in enumerate((20, 5, 8), start=1):
        for frame in range(count):
            path = tmp_path / f"{track}_{frame:02d}.png"
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
            images.setdefault(str(track), []).append(path)
            rows.append(f"{path.name},{track}")
    (tmp_path / "crops.csv").write_text("\n".join(rows) + "\n")
    made = replace(
        config(**words),
        network=NetworkConfig(model="osnet_x0_25", classes=3 if feature == "logits" else None),
        input=InputConfig(frames=8, size=32, resize=32),
        output=OutputConfig(feature=feature),
    )
    lines: list[str] = []
    outcome = embed([tmp_path / "crops.csv"], tmp_path / "out", made, echo=lines.append)
    assert (outcome.short, outcome.failed) == (0, 0) and not any(line.startswith("short") for line in lines)
    network = Network(made.network, changes=made.input, feature=feature, device="cpu")
    for row in pq.read_table(tmp_path / "out/embeddings").to_pylist():
        wanted = mean_of_crops(images[row["id"]], network)
        assert np.abs(row["embedding"] - wanted).max() <= 2e-6 * np.abs(wanted).max()


def test_videos_are_not_touched_by_crops_beside_them(crops: Path) -> None:
    """Frames of a video count as often as its clips have them, whatever else is embedded."""
    made = replace(config(), network=NetworkConfig(model="mobilenet_v2"))
    embed([crops / "7"], crops / "alone", made)
    embed([crops / "7", crops / "crops.csv"], crops / "both", made)
    alone, both = (pq.read_table(crops / name / "embeddings").to_pylist() for name in ("alone", "both"))
    assert alone[0]["embedding"] in [row["embedding"] for row in both]


def test_a_query_of_images_is_their_mean(crops: Path) -> None:
    made = replace(config(), network=NetworkConfig(model="mobilenet_v2"))
    embed([crops / "crops.csv"], crops / "out", made)
    images = sorted((crops / "7").iterdir())
    best = search(crops / "out", images, k=1, device="cpu").rows[0]
    assert best.columns["id"] == "0022/1/7" and best.score == pytest.approx(1, abs=1e-6)


def test_what_was_deleted_is_not_said_to_be_there(crops: Path) -> None:
    out, lines = crops / "out", list[str]()
    embed([crops / "crops.csv"], out, config())
    delete(out, ["0022/1/7"])
    more = replace(config(), job=replace(config().job, append=True))
    outcome = embed([crops / "crops.csv"], out, more, echo=lines.append)
    assert "appending 0 tracklets; 2 of the list are there already, 1 deleted before and left out" in lines
    assert outcome.line().startswith("embedded 2 of 3 tracklets, 2 rows in ") and "; 1 deleted;" in outcome.line()
    name = pq.read_table(out / "embeddings", columns=["id"])["id"][0].as_py()
    table = as_text(search(out, name, k=1))
    assert " crops 0-" in table and "frames" not in table  # which frames of the video they are nothing says


def test_another_day_needs_names_of_its_own(crops: Path) -> None:
    """Trackers number from 1 each day: walks of the second one were taken for those of the first, and left out."""
    out, lines = crops / "out", list[str]()
    embed([crops / "crops.csv"], out, config())
    more = replace(config(), job=replace(config().job, append=True))
    embed([crops / "crops.csv"], out, more, echo=lines.append)
    assert "appending 0 tracklets; 3 of the list are there already" in lines
    other = crops / "second"
    other.mkdir()
    (crops / "crops").rename(other / "crops")
    (crops / "crops.csv").rename(other / "crops.csv")
    with pytest.raises(ValueError, match=r"id '0022/1/7' stands for two inputs that differ.*another camera name"):
        embed([other / "crops.csv"], out, more)


def test_crops_of_any_size_are_nothing_unusual(tmp_path: Path) -> None:
    for frame, height in enumerate((40, 44, 48)):
        Image.new("RGB", (36, height)).save(tmp_path / f"{frame}.png")
    (tmp_path / "crops.csv").write_text("path,track\n" + "".join(f"{frame}.png,1\n" for frame in range(3)))
    outcome = embed([tmp_path / "crops.csv"], tmp_path / "out", config())
    assert (outcome.unusual, outcome.failed) == (0, 0)


def test_it_is_the_data_set_tracklets(crops: Path) -> None:
    (_, own), *_ = ((name, part) for name, part in read_table(crops / "crops.csv").items() if part)
    table = find_inputs([crops / "crops.csv"]).table
    files = {row["id"]: [Path(file.decode()).name for file in row["files"]] for row in table.to_pylist()}
    theirs = {f"{one.pid}/{one.camid}/{one.name.split('/')[-1]}": [Path(f).name for f in one.frames] for one in own}
    assert files == theirs


def test_mistakes(crops: Path) -> None:
    (crops / "bare.csv").write_text("path,label\n7/0.png,1\n7/1.png,1\n")
    with pytest.raises(ValueError, match=r"names images, and no column says which .*add a column 'tracklet'"):
        find_inputs([crops / "bare.csv"])
    (crops / "frame.csv").write_text("path,track,frame\n7/0.png,1,one\n7/1.png,1,2\n")
    with pytest.raises(ValueError, match="row 1: frame 'one' is no number"):
        find_inputs([crops / "frame.csv"])
