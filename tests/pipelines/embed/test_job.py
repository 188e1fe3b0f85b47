"""The whole of an embedding on small real files: numbers, bytes, failures, restarts, refusals."""

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from synthetic_videos import blank_frames, write_numbered, write_sound
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.cli import run as command
from specvid.datasets.clips.sampling import test_clips as even_clips
from specvid.datasets.clips.transforms import test_transform as centre_crop
from specvid.datasets.decode import open_video
from specvid.files import write_json
from specvid.models import create_model
from specvid.pipelines.embed import EmbedConfig, JobConfig, Outcome, OutputConfig, WindowConfig, embed
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.shards import read_metadata
from specvid.pipelines.networks.config import InputConfig, NetworkConfig

SMALL = {"frames": 4, "stride": 2, "size": 16, "resize": 20}


def config(
    *, network: Any = None, clips: Any = None, windows: Any = None, output: Any = None, job: Any = None
) -> EmbedConfig:
    return EmbedConfig(
        NetworkConfig(**{"model": "r3d_tiny", **(network or {})}),
        input=InputConfig(**{**SMALL, **(clips or {})}),
        windows=WindowConfig(**(windows or {})),
        output=OutputConfig(**{"shard_size": 4, **(output or {})}),
        job=JobConfig(**{"device": "cpu", "workers": 0, "batch_size": 2, **(job or {})}),
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "ucf", groups=4, clips=1) / "videos"


def rows(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "embeddings").to_pylist()


def reasons(out: Path) -> dict[str, str]:
    return {Path(row["path"]).name: row["reason"] for row in pq.read_table(out / "errors.parquet").to_pylist()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_hand(path: str, clips: Callable[[int], np.ndarray], through: Callable[[Any, torch.Tensor], torch.Tensor]) -> Any:
    """The slow way: decode, test transform, network, mean."""
    torch.manual_seed(0)
    model = create_model("r3d_tiny").eval()
    spec = model.input.override(SMALL)
    with open_video(path) as video:
        indices = clips(len(video))
        frames = [video.frames(clip) for clip in indices]
    with torch.inference_mode():
        vectors = [through(model, centre_crop(spec)(clip)) for clip in frames]
    return torch.cat(vectors).double().mean(0).numpy()


def test_it_gives_the_numbers_of_the_slow_way(videos: Path, tmp_path: Path) -> None:
    outcome = embed([videos], tmp_path / "out", config())
    assert outcome == Outcome(tmp_path / "out", 12, 0, 0, 0, 0, 12, 12, 12 * 2 * 4, outcome.seconds, True)
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == sorted(map(str, videos.rglob("*.avi")))
    for row in found[::5]:
        expected = by_hand(row["path"], lambda n: even_clips(n, 4, 2, 2), lambda model, x: model.embed(x))
        np.testing.assert_allclose(row["embedding"], expected, rtol=1e-4, atol=1e-6)
        assert (row["id"], row["first_frame"], row["last_frame"]) == (row["path"], 0, 9)
        assert (row["start_s"], row["end_s"]) == (0.0, 1.0)


def test_features_lengths_and_types(videos: Path, tmp_path: Path) -> None:
    output = {"feature": "block:layer1", "l2": True, "dtype": "fp16"}
    embed([videos], tmp_path / "a", config(output=output))
    row = rows(tmp_path / "a")[3]
    expected = by_hand(row["path"], lambda n: even_clips(n, 4, 2, 2), lambda m, x: m.backbone[:2](x).flatten(2).mean(2))
    np.testing.assert_allclose(row["embedding"], expected / np.linalg.norm(expected), rtol=2e-3, atol=2e-4)
    assert pq.read_schema(tmp_path / "a/embeddings/part-000000.parquet").field("embedding").type == pa.list_(
        pa.float16(), 32
    )
    embed([videos], tmp_path / "b", config(network={"classes": 5}, output={"feature": "logits"}))
    assert len(rows(tmp_path / "b")[0]["embedding"]) == 5


def test_an_image_network_is_tapped_too(videos: Path, tmp_path: Path) -> None:
    clips, output = {"size": 32, "resize": 32, "frames": 2}, {"feature": "block:features.1"}
    settings = config(network={"model": "mobilenet_v2"}, clips=clips, output=output)
    embed([next(videos.rglob("*.avi"))], tmp_path / "a", settings)
    assert len(rows(tmp_path / "a")[0]["embedding"]) == 16


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"network": {"model": ""}}, "no network is given"),
        ({"network": {"model": "r3d_tinny"}}, "'r3d_tiny'"),
        ({"output": {"feature": "block:layer9"}}, "no module 'layer9'.*'layer"),
        ({"output": {"feature": "logits"}}, "needs a classifier"),
        ({"network": {"weights": "gone.safetensors"}}, "no such file"),
        ({"clips": {"size": 32}}, "smaller than the crop"),
    ],
)
def test_wrong_networks_are_refused(videos: Path, tmp_path: Path, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        embed([videos], tmp_path / "out", config(**settings))
    assert not (tmp_path / "out").exists()


def test_bytes_depend_on_nothing_but_files_and_settings(videos: Path, tmp_path: Path) -> None:
    windows = {"window": "sliding", "length": "4", "every": "3"}
    embed([videos], tmp_path / "a", config(windows=windows))
    embed([videos], tmp_path / "b", config(windows=windows, job={"workers": 3}))
    assert files(tmp_path / "a") == files(tmp_path / "b")
    one = videos / "Green" / "v_Green_g02_c01.avi"
    embed([one], tmp_path / "one", config(windows=windows))  # in no company, and first in its batch
    own = [row | {"folder": None} for row in rows(tmp_path / "a") if row["path"] == str(one)]
    assert all(row["folder"] == Path(row["path"]).parent.name for row in rows(tmp_path / "a"))
    assert rows(tmp_path / "one") == own and len(own) == 3


def test_the_metadata_says_what_made_it(videos: Path, tmp_path: Path) -> None:
    embed([videos], tmp_path / "a", config())
    metadata = read_metadata(tmp_path / "a/embeddings/part-000001.parquet")
    assert metadata["network"]["model"]["name"] == "r3d_tiny" and len(metadata["network"]["weights"]) == 64
    assert metadata["network"]["input"]["size"] == 16 and metadata["network"]["input"]["mean"][0] > 0
    assert metadata["specvid"] and metadata["config"]["windows"]["window"] == "full"
    embed([videos], tmp_path / "b", config(network={"seed": 1}))
    assert (
        read_metadata(tmp_path / "b/embeddings/part-000001.parquet")["network"]["weights"]
        != metadata["network"]["weights"]
    )


def test_it_opens_as_one_data_set_and_as_npz(videos: Path, tmp_path: Path) -> None:
    table = pa.table({"path": [str(p) for p in sorted(videos.rglob("*.avi"))], "camid": range(12)})
    table = table.append_column("when", pa.array([None] + [3] * 11, pa.timestamp("s")))
    pq.write_table(table, tmp_path / "t.parquet")
    embed([tmp_path / "t.parquet"], tmp_path / "a", config(output={"npz": True, "shard_size": 5}))
    data = pads.dataset(tmp_path / "a" / "embeddings")
    assert data.count_rows() == 12 and len(data.files) == 3
    found = data.to_table(filter=pads.field("camid") > 9)
    assert found["camid"].to_pylist() == [10, 11] and found.schema.field("embedding").type == pa.list_(pa.float32(), 64)
    with np.load(tmp_path / "a" / "embeddings.npz", allow_pickle=False) as arrays:
        assert arrays["embedding"].shape == (12, 64) and arrays["camid"].tolist() == list(range(12))
        assert np.array_equal(arrays["embedding"][10:], np.array(found["embedding"].to_pylist(), np.float32))
        assert arrays["path"].tolist() == table["path"].to_pylist()


def test_images_are_a_video(tmp_path: Path) -> None:
    for number in range(12):
        picture = np.random.default_rng(number).integers(0, 255, (24, 30, 3), np.uint8)
        (tmp_path / "walk").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "walk" / f"{number}.png")
    outcome = embed([tmp_path / "walk"], tmp_path / "out", config(windows={"fps": 4.0}))
    (row,) = rows(tmp_path / "out")
    assert (row["end_s"], row["last_frame"], outcome.failed) == (3.0, 11, 0)
    (tmp_path / "walk" / "4.png").write_bytes(b"no picture")
    outcome = embed([tmp_path / "walk"], tmp_path / "again", config())
    assert outcome.failed == 1 and "4.png" in reasons(tmp_path / "again")["walk"]


@pytest.mark.parametrize("windows", [{}, {"window": "uniform", "clips": 3, "rows": "window"}, {"sampling": "segments"}])
def test_videos_shorter_than_a_clip_are_named_and_counted(tmp_path: Path, windows: dict[str, Any]) -> None:
    """7 frames make a clip of 4, 2 apart; 4 make one of the middles of 4 parts."""
    folder, least = tmp_path / "in", 4 if "sampling" in windows else 7
    folder.mkdir()
    for count in (least - 1, least, 30):
        write_numbered(folder, count=count).rename(folder / f"{count}.avi")
    lines: list[str] = []
    outcome = embed([folder], tmp_path / "out", config(windows=windows), echo=lines.append)
    assert (outcome.videos, outcome.failed, outcome.short) == (3, 0, 1)
    (message,) = [line for line in lines if line.startswith("short: ")]
    assert f"{least - 1}.avi: {least - 1} frames, fewer than the {least} of a clip" in message
    assert "; 1 shorter than a clip, with frames taken more than once; 0 failed" in outcome.line()
    assert embed([folder], tmp_path / "out", config(windows=windows)).short == 1, "counted again, with nothing missing"


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_files_are_named_and_the_others_go_on(tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = write_numbered(folder, count=30)
    good.rename(folder / "two\nlines 視頻 .avi")
    write_numbered(folder, count=30).rename(folder / os.fsdecode(b"not\xffutf8.avi"))
    blank_frames(write_numbered(folder, count=30).rename(folder / "damaged.avi"), range(10, 30))
    write_sound(folder / "sound.avi")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video")
    whole = write_numbered(folder, count=30).rename(folder / "cut.avi")
    whole.write_bytes(whole.read_bytes()[:5000])
    (folder / "list.txt").write_text("gone.avi\n")
    lines: list[str] = []
    inputs = [folder, folder / "list.txt"]
    outcome = embed(inputs, tmp_path / "out", config(job={"workers": workers}), echo=lines.append)
    assert (outcome.videos, outcome.failed, outcome.rows) == (8, 6, 2)
    found = reasons(tmp_path / "out")
    assert found.keys() == {"damaged.avi", "sound.avi", "empty.mp4", "text.mp4", "cut.avi", "gone.avi"}
    for name, word in (("sound.avi", "no video stream"), ("empty.mp4", "empty"), ("gone.avi", "no such file")):
        assert word in found[name]
    assert [row["path"] for row in rows(tmp_path / "out")] == [
        f"{folder}/not\\xffutf8.avi",
        f"{folder}/two\nlines 視頻 .avi",
    ]
    message = [line for line in lines if line.startswith("failed: ")]
    assert len(message) == 6 and not any("\n" in line for line in lines)
    assert outcome.line().endswith(f"6 failed, see {tmp_path}/out/errors.parquet")


def test_the_last_line_is_one_line(tmp_path: Path) -> None:
    line = Outcome(tmp_path / "two\nlines", 3, 1, 0, 0, 0, 2, 3, 48, 1.0, True).line()
    assert line.endswith("1 failed, see " + str(tmp_path) + "/two\\nlines/errors.parquet") and "\n" not in line


def test_the_command_line_says_how_many_failed(videos: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"")
    words = ["embed", str(videos / "Red"), str(tmp_path / "bad.mp4"), "--model", "r3d_tiny", "--device", "cpu"]
    assert command([*words, "--out", str(tmp_path / "out"), "--workers", "0"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].startswith("embedded 4 of 5 videos, 4 rows in")
    assert "bad.mp4: is empty" in captured.err and "only initialised" in captured.err
    assert command([*words[:2], *words[3:], "--out", str(tmp_path / "fine")]) == 0
    assert command([*words, "--out", str(tmp_path / "out"), "--feature", "penultimat"]) == 2
    assert "Did you mean 'penultimate'" in capsys.readouterr().err


def test_a_decoder_that_dies_costs_one_file(videos: Path, tmp_path: Path, monkeypatch) -> None:
    from specvid.pipelines.embed import reading

    victims = ("v_Green_g01_c01.avi", "v_Green_g02_c01.avi", "v_Red_g04_c01.avi")
    original = reading.open_clips

    def crashing(path: str, *args: Any, **options: Any) -> Any:
        if os.path.basename(path) in victims:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(path, *args, **options)

    embed([videos], tmp_path / "sound", config())
    monkeypatch.setattr(reading, "open_clips", crashing)
    outcome = embed([videos], tmp_path / "out", config(job={"workers": 2}))
    assert (outcome.failed, outcome.rows) == (3, 9)
    assert all("kills its process" in reason for reason in reasons(tmp_path / "out").values())
    assert reasons(tmp_path / "out").keys() == set(victims)
    kept = [row for row in rows(tmp_path / "sound") if os.path.basename(row["path"]) not in victims]
    assert rows(tmp_path / "out") == kept
    monkeypatch.setattr(reading, "open_clips", original)
    outcome = embed([videos], tmp_path / "out", config(job={"retry_errors": True}))
    assert (outcome.done, outcome.failed) == (8, 0)  # two of three shards had failures
    assert files(tmp_path / "out") == files(tmp_path / "sound")


def test_what_stands_is_not_done_again_and_other_settings_are_refused(videos: Path, tmp_path: Path) -> None:
    embed([videos], tmp_path / "out", config())
    before = files(tmp_path / "out")
    Folder(tmp_path / "out").part(1).unlink()
    lines: list[str] = []
    assert embed([videos], tmp_path / "out", config(), echo=lines.append).done == 4
    assert files(tmp_path / "out") == before
    assert "2 of 3 shards done already, 1 missing" in lines
    assert "nothing was missing" in embed([videos], tmp_path / "out", config()).line()
    with pytest.raises(ValueError, match=r"embedded otherwise \(l2: False -> True\)"):
        embed([videos], tmp_path / "out", config(output={"l2": True}))
    with pytest.raises(ValueError, match="inputs: 0 more and 8 gone"):
        embed([videos / "Red"], tmp_path / "out", config())
    assert files(tmp_path / "out") == before
    (tmp_path / "out" / "mine.txt").write_text("stays")
    outcome = embed([videos / "Red"], tmp_path / "out", config(job={"overwrite": True}))
    assert (outcome.done, outcome.rows) == (4, 4) and (tmp_path / "out" / "mine.txt").exists()


def test_a_full_disk_is_told_and_nothing_is_lost(videos: Path, tmp_path: Path, monkeypatch) -> None:
    embed([videos], tmp_path / "whole", config())
    original, written = pq.write_table, []

    def filling(table: Any, where: Any, **options: Any) -> None:
        original(table, where, **options)
        if Path(where).name.startswith("part-"):
            written.append(where)
            if len(written) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", filling)
    with pytest.raises(OSError, match=r"part-000001.parquet cannot be written: the disk is full.*start again"):
        embed([videos], tmp_path / "out", config())
    assert sorted(path.name for path in (tmp_path / "out/embeddings").iterdir()) == ["part-000000.parquet"]
    monkeypatch.setattr(pq, "write_table", original)
    assert embed([videos], tmp_path / "out", config()).done == 8
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_disk_that_is_really_full(videos: Path, tmp_path: Path) -> None:
    """A limit on the size of files, which the system itself enforces."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, limit[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written: the file is larger than this process may write"):
            embed([videos], tmp_path / "out", config())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert embed([videos], tmp_path / "out", config()).rows == 12


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="only root can take its own rights away")
def test_a_folder_that_may_not_be_written_is_told(videos: Path, tmp_path: Path) -> None:
    for part in (videos, *videos.parents, tmp_path, *tmp_path.parents):
        if part.stat().st_uid == 0 and part != Path("/"):
            part.chmod(part.stat().st_mode | 0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(OSError, match="cannot be written: the folder may not be written"):
            embed([videos], tmp_path / "out", config())
    finally:
        os.seteuid(0)


def test_a_feature_that_is_not_finite_is_a_failure(videos: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from specvid.models.weights import save_weights

    torch.manual_seed(0)
    save_weights(create_model("r3d_tiny"), tmp_path / "w.safetensors")
    weights = load_file(tmp_path / "w.safetensors")
    name = next(name for name in weights if name.endswith("bn3.weight"))
    weights[name] *= float("nan")
    save_file(weights, tmp_path / "w.safetensors")
    outcome = embed([videos], tmp_path / "out", config(network={"weights": str(tmp_path / "w.safetensors")}))
    assert (outcome.failed, outcome.rows) == (12, 0)
    assert set(reasons(tmp_path / "out").values()) == {"the network's feature is not finite"}
    assert pq.read_table(tmp_path / "out" / "embeddings").num_rows == 0  # it still opens


def test_a_run_brings_its_network_and_its_sampling(videos: Path, tmp_path: Path) -> None:
    from specvid.pipelines.engine.run import RunFolder

    torch.manual_seed(3)
    model = create_model("r3d_tiny", num_classes=3, input=SMALL)
    folder = RunFolder(tmp_path / "run")
    folder.start({"specvid": "test"})
    folder.save("last", model, {"model": model.config, "data": {"sampling": "segments"}})
    embed(
        [videos],
        tmp_path / "out",
        config(network={"model": "", "run": str(tmp_path / "run")}, output={"feature": "logits"}),
    )
    metadata = read_metadata(tmp_path / "out/embeddings/part-000000.parquet")
    assert metadata["network"]["sampling"] == "segments" and metadata["network"]["dim"] == 3
    assert metadata["config"]["network"]["run"] == str(tmp_path / "run")


def test_the_metadata_of_a_folder_is_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no embeddings"):
        Folder(tmp_path).metadata()
    write_json(tmp_path / "embed.json", {"shards": 2})
    with pytest.raises(ValueError, match="config is 'None'"):
        Folder(tmp_path).metadata()
    write_json(tmp_path / "embed.json", {"config": {}, "network": {}, "inputs": 2, "shards": 2})
    assert json.loads((tmp_path / "embed.json").read_text()) == Folder(tmp_path).metadata()
    with pytest.raises(ValueError, match="not complete: 2 of 2 shards are missing"):
        Folder(tmp_path).parts()
