"""Films with events at known seconds: found, printed, drawn; one bad file; streaming is the same as the file."""

import csv
import io
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import colour_films
import numpy as np
import pysubs2
import pytest
import torch
from colour_films import COLOURS, FPS, colour_model, write_film

import specvid
from specvid import cli, open_video
from specvid.datasets.clips.transforms import normalise_clips
from specvid.models import VideoModel
from specvid.pipelines.segments.classifier import ClipClassifier
from specvid.pipelines.segments.config import SegmentConfig
from specvid.pipelines.segments.files import VideoEnd, predict_segments
from specvid.pipelines.segments.merging import Segment

EVENTS = [("Red", 30, 80), ("Blue", 80, 110), ("Green", 150, 200)]
SPANS = ["--window", "sliding", "--length", "2s", "--every", "1s"]


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return colour_model()


@pytest.fixture(scope="module")
def folder(model: VideoModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "it"
    model.save_pretrained(path, classes=tuple(COLOURS))
    return str(path)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_film(tmp_path_factory.mktemp("films") / "film.mp4", 237, EVENTS))


def predict(capsys: pytest.CaptureFixture[str], folder: str, *words: str) -> tuple[int, str, str]:
    code = cli.run(["predict", *words, "--model", folder, "--device", "cpu", "--workers", "0"])
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


def check_events(found: list[tuple[str, float, float]]) -> None:
    """Each event is found, within one step of the windows; the segments cover all of the film."""
    events = [part for part in found if part[0] != "nothing"]
    assert [name for name, _, _ in events] == [name for name, _, _ in EVENTS]
    for (_, start, end), (_, first, after) in zip(events, EVENTS, strict=True):
        assert start == pytest.approx(first / FPS, abs=1) and end == pytest.approx(after / FPS, abs=1)
    assert found[0][1] == 0 and found[-1][2] == pytest.approx(23.7)
    assert all(a[2] == b[1] for a, b in pairwise(found))


def test_events_are_found_and_every_format_says_the_same(film: str, folder: str, tmp_path: Path, capsys) -> None:
    words = [film, *SPANS, "--merge"]
    code, out, err = predict(capsys, folder, *words, "--format", "json")
    parts = [json.loads(line) for line in out.splitlines()]
    found = [(part["classes"][0][0], part["start_s"], part["end_s"]) for part in parts]
    check_events(found)
    assert code == 0 and "237 frames (0:00:23.7) in" in err and "an hour of film in 0:" in err
    rows = list(csv.DictReader(io.StringIO(predict(capsys, folder, *words, "--format", "csv")[1])))
    assert [(row["class"], float(row["start_s"]), float(row["end_s"])) for row in rows] == found
    assert [int(row["windows"]) for row in rows] == [part["windows"] for part in parts]
    table = predict(capsys, folder, *words)[1].splitlines()
    assert len(table) == len(found) and table[1].startswith(f"{film}: 0:00:02.5-0:00:08.5  Red 8")
    out = tmp_path / "out"
    assert predict(capsys, folder, *words, "--format", "srt", "--out", str(out))[1] == ""
    subtitles = pysubs2.load(str(out / "film.srt"))
    assert [(line.text.split()[0], line.start / 1000, line.end / 1000) for line in subtitles] == found


def test_windows_that_are_not_put_together(film: str, folder: str, capsys) -> None:
    out = predict(capsys, folder, film, *SPANS, "--json", "--top", "2")[1]
    parts = [json.loads(line) for line in out.splitlines()]
    assert [part["start_s"] for part in parts] == [*range(22), pytest.approx(21.7)]
    assert all(part["end_s"] - part["start_s"] == pytest.approx(2) and len(part["classes"]) == 2 for part in parts)
    assert parts[4]["classes"][0][0] == "Red"


def test_one_bad_file_stops_no_other(film: str, folder: str, tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film" * 100)
    out = tmp_path / "out"
    words = [str(bad), film, *SPANS, "--merge", "--format", "srt", "--out", str(out)]
    code = cli.run(["predict", *words, "--model", folder, "--device", "cpu", "--workers", "2"])
    err = " ".join(capsys.readouterr().err.split())
    assert code == 1 and f"{bad}: error: " in err and sorted(file.name for file in out.iterdir()) == ["film.srt"]
    twice = predict(capsys, folder, str(bad), str(tmp_path / "other" / "bad.mp4"), *SPANS, "--out", str(out))
    assert twice[0] == 2 and "would both be" in twice[2]


def test_an_annotated_video(film: str, folder: str, tmp_path: Path, capsys) -> None:
    drawn = tmp_path / "drawn.mp4"
    assert predict(capsys, folder, film, *SPANS, "--merge", "--draw", str(drawn))[0] == 0
    with open_video(film) as old, open_video(drawn) as new:
        assert (len(new), new.fps, new.size) == (len(old), pytest.approx(old.fps), old.size)
        before, after = (video.frames([50]).astype(int)[0] for video in (old, new))
    changed = np.abs(after - before).max(-1) > 60
    assert changed[:12, :20].mean() > 0.3 and not changed[20:].any()
    code, _, err = predict(capsys, folder, film, *SPANS, "--merge", "--draw", film)
    assert code == 2 and "would replace the video" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--merge", "merge belongs to --window sliding"),
        ("--format srt", "format 'srt' has times: add --window sliding"),
        ("--out x", "out 'x' belongs to --window sliding"),
        ("--window sliding --format srt", "windows overlap: add --merge"),
        ("--window sliding --draw x.mp4", "windows overlap: add --merge"),
        ("--window sliding --clips 3", "clips and crops belong to whole videos"),
        ("--stdin 3x3", "stdin '3x3' must be WIDTHxHEIGHT@FPS"),
        ("--stdin 32x32@25", "takes the place of VIDEO"),
        ("--window sliding --top 0", "top 0 must be at least 1"),
    ],
)
def test_mistakes(words: str, says: str, film: str, folder: str, capsys) -> None:
    code, _, err = predict(capsys, folder, film, *words.split())
    assert code == 2 and says in err


def segments_of(path: str, classifier: ClipClassifier, config: SegmentConfig) -> list[Segment]:
    found = list(predict_segments([path], classifier, config, workers=0))
    assert isinstance(found[-1], VideoEnd) and not found[-1].error
    return [part[1] for part in found[:-1]]


def test_films_are_read_by_a_copy_for_inference(model: VideoModel) -> None:
    model.train()
    classifier = ClipClassifier.of(model)
    assert classifier.model.folded and model.training and not model.folded
    clips = torch.randint(256, (2, classifier.spec.frames, *classifier.spec.frame_size, 3), dtype=torch.uint8)
    x = normalise_clips(clips, classifier.spec.mean, classifier.spec.std)
    with torch.inference_mode():
        np.testing.assert_allclose(classifier(clips), model.eval()(x), atol=1e-4)


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize(
    ("length", "every", "frames"), [("2s", "1s", 237), ("20", "30", 237), ("", "", 90), ("2s", "", 9)]
)
def test_streaming_is_the_same_as_the_file(
    model: VideoModel, tmp_path: Path, merge: bool, length: str, every: str, frames: int
) -> None:
    path = str(write_film(tmp_path / "film.mp4", frames, EVENTS))
    stream = specvid.StreamingRecogniser(model, fps=FPS, length=length, every=every, merge=merge)
    found = segments_of(path, stream.classifier, SegmentConfig("sliding", length, every, merge))
    with open_video(path) as video:
        pictures = video.frames(range(frames))
    rng = np.random.default_rng(0)
    pieces = np.split(pictures, np.sort(rng.integers(0, frames, 20)))
    streamed = [part for piece in pieces for part in stream.push(piece)]
    if not merge and frames == 237:
        assert len(streamed) >= len(found) - 1  # as soon as they are complete
    streamed += stream.finish()
    assert stream.finish() == []
    same_segments(streamed, found)
    with pytest.raises(ValueError, match="the stream is finished"):
        stream.push(pictures)


def same_segments(some: list[Segment], others: list[Segment]) -> None:
    def without(parts: list[Segment]) -> list[tuple]:
        return [(p.first_frame, p.last_frame, p.start_s, p.end_s, p.windows, [n for n, _ in p.classes]) for p in parts]

    assert without(some) == without(others)
    for one, other in zip(some, others, strict=True):
        assert [p for _, p in one.classes] == pytest.approx([p for _, p in other.classes], abs=1e-5)


def test_frames_that_are_no_frames(model: VideoModel) -> None:
    stream = specvid.StreamingRecogniser(model, fps=25)
    with pytest.raises(ValueError, match=r"frames of shape \(3, 32, 48\) and uint8 do not fit"):
        stream.push(np.zeros((3, 32, 48), np.uint8))
    assert stream.finish() == []
    with pytest.raises(ValueError, match="fps 0 must be greater than 0"):
        specvid.StreamingRecogniser(model, fps=0)


def test_raw_frames_through_a_pipe(film: str, folder: str, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ffmpeg writes them."""
    with open_video(film) as video:
        raw = video.frames(range(len(video))).tobytes()
    words = ["--stdin", f"48x32@{FPS}", "--length", "2s", "--every", "1s", "--window", "sliding", "--merge", "--json"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    code, out, _ = predict(capsys, folder, *words)
    parts = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    check_events([(part["classes"][0][0], part["start_s"], part["end_s"]) for part in parts])
    own = [json.loads(line) for line in predict(capsys, folder, film, *SPANS, "--merge", "--json")[1].splitlines()]
    assert [(p["first_frame"], p["last_frame"]) for p in parts] == [(p["first_frame"], p["last_frame"]) for p in own]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw[:-100])))
    code, _, err = predict(capsys, folder, *words)
    assert code == 2 and "the stream ends with 4,508 of the 4,608 bytes of a frame" in err


def test_motion_streams_too(tmp_path: Path) -> None:
    model = colour_model()
    flow = specvid.create_model("r3d_tiny", num_classes=3, input={**model.config["input"], "modality": "rgb-diff"})
    path = str(write_film(tmp_path / "film.mp4", 60, [("Red", 30, 40)]))
    stream = specvid.StreamingRecogniser(flow, fps=FPS, length="1s", every="1s")
    with open_video(path) as video:
        streamed = [part for frame in video.frames(range(60)) for part in stream.push(frame)] + stream.finish()
    same_segments(streamed, segments_of(path, stream.classifier, SegmentConfig("sliding", "1s", "1s")))


@pytest.mark.slow
def test_streaming_is_the_same_as_the_file_for_r3d_18_with_snl(tmp_path: Path) -> None:
    model = specvid.create_model("r3d_18", blocks="snl@layer3.-1", num_classes=5)
    path = str(write_film(tmp_path / "film.mp4", 70, EVENTS))
    stream = specvid.StreamingRecogniser(model, fps=FPS, length="3s", every="1.5s", merge=True)
    with open_video(path) as video:
        streamed = stream.push(np.stack(list(video.frames(range(70))))) + stream.finish()
    same_segments(streamed, segments_of(path, stream.classifier, SegmentConfig("sliding", "3s", "1.5s", merge=True)))


HOUR = """
import json, resource, sys
sys.path.append(sys.argv[2])
from colour_films import colour_model
from specvid.pipelines.segments.classifier import ClipClassifier
from specvid.pipelines.segments.config import SegmentConfig
from specvid.pipelines.segments.files import VideoEnd, predict_segments
classifier = ClipClassifier.of(colour_model())
config = SegmentConfig("sliding", "2s", "1s", merge=True)
*found, end = predict_segments([sys.argv[1]], classifier, config, workers=1)
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # getrusage has pytest's
peaks = [int(own) / 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]
parts = [(part.classes[0][0], part.start_s, part.end_s) for _, part in found if part.classes[0][0] != "nothing"]
print(json.dumps({"parts": parts, "end": str(end), "error": end.error, "peaks": peaks}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it looks at Linux's own account of memory")
def test_an_hour_of_film(tmp_path: Path) -> None:
    """Events at known seconds are found within one segment, in the memory of ten minutes."""
    found = {}
    for minutes in (10, 60):
        rng = np.random.default_rng(minutes)
        length = minutes * 60 * FPS
        starts = np.arange(200, length - 200, 1500) + rng.integers(0, 300, len(np.arange(200, length - 200, 1500)))
        names = [name for name in COLOURS if name != "nothing"]
        events = [(names[k % 3], int(start), int(start) + 40 + 10 * (k % 7)) for k, start in enumerate(starts)]
        path = write_film(tmp_path / f"{minutes}.mp4", length, events, codec="libx264")
        command = [sys.executable, "-c", HOUR, str(path), str(Path(colour_films.__file__).parent)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
        assert done.returncode == 0, done.stderr[-2000:]
        found[minutes] = json.loads(done.stdout)
        assert not found[minutes]["error"]
        print(minutes, "minutes:", len(events), "events;", found[minutes]["end"], found[minutes]["peaks"], "MiB")
        assert [name for name, _, _ in found[minutes]["parts"]] == [name for name, _, _ in events]
        for (_, start, end), (_, first, after) in zip(found[minutes]["parts"], events, strict=True):
            assert abs(start - first / FPS) <= 1 and abs(end - after / FPS) <= 1
    for few, many in zip(found[10]["peaks"], found[60]["peaks"], strict=True):
        assert many < few + 60  # MiB; all frames would be 158
