"""`specvid predict` and `embed` with a shared folder, or a backbone and its weights: whose classes are named?"""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from shared_data import shared
from synthetic_videos import blank_frames, write_numbered
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli
from specvid.models import create_model
from specvid.models.weights.load import count_classes
from specvid.pipelines.networks.class_names import class_names, read_labels

NAMES = ("Blue", "Green", "Red")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "tiny", groups=4, clips=1)
    return str(root / "videos/Red/v_Red_g01_c01.avi")


def made(**options: object):
    """A network that says class 2 to everything."""
    wanted = {
        "num_classes": 3,
        "blocks": "snl@layer2.-1",
        "input": {"frames": 4, "stride": 1, "size": 16, "resize": 20},
    }
    model = create_model("r3d_tiny", **{**wanted, **options})
    torch.nn.init.zeros_(model.head.classifier.weight)
    model.head.classifier.bias.data = torch.tensor([0.0, 0.0, 5.0])
    return model


def predict(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list, str]:
    code = cli.run(["predict", *words, "--json", "--clips", "1", "--device", "cpu", "--workers", "0"])
    out, err = capsys.readouterr()
    return (json.loads(out)["classes"] if code == 0 else []), " ".join(err.split())


def test_a_shared_folder(video: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "it")
    made().save_pretrained(folder, classes=NAMES)
    classes, message = predict(capsys, video, "--model", folder, "--top", "2")
    assert (classes[0][0], len(classes), message) == ("Red", 2, "")
    labels = tmp_path / "classInd.txt"
    labels.write_text("1 a\n2 b\n3 Red car\n")
    assert predict(capsys, video, "--model", folder, "--labels", str(labels))[0][0][0] == "Red car"
    assert "brings its own" in predict(capsys, video, "--model", folder, "--weights", "x.pth")[1]
    assert "exclude each other" in predict(capsys, video, "--run", "r", "--model", folder)[1]
    made(num_classes=3).save_pretrained(tmp_path / "nameless")
    classes, message = predict(capsys, video, "--model", str(tmp_path / "nameless"))
    assert classes[0][0] == "class 2" and "the classes have no names: --labels FILE" in message
    assert "no classifier" in predict(capsys, video, "--model", str(bare(tmp_path / "bare")))[1]
    out = tmp_path / "emb"
    assert cli.run(["embed", video, "--model", folder, "--out", str(out), "--device", "cpu", "--workers", "0"]) == 0
    assert "only initialised" not in capsys.readouterr().err
    assert cli.run(["embed", video, "--model", folder, "--blocks", "snl@layer1", "--out", str(tmp_path / "no")]) == 2
    assert "blocks cannot be set" in " ".join(capsys.readouterr().err.split())


def test_the_share_that_must_decode_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of `predict` and `data check`: 2 of 100 frames are lost, one clip wants them all."""
    path = blank_frames(write_numbered(tmp_path), [40, 60])
    folder = str(tmp_path / "it")
    made(input={"frames": 100, "stride": 1, "size": 16, "resize": 20}).save_pretrained(folder, classes=NAMES)
    words = ["predict", str(path), "--model", folder, "--clips", "1", "--device", "cpu", "--workers", "0"]
    assert cli.run(words) == 0 and "2 of 100 wanted frames cannot be decoded" in capsys.readouterr().out
    assert cli.run([*words, "--min-readable", "0.99"]) == 1 and "error: is damaged: 2 of" in capsys.readouterr().out
    root = synthesize_tiny_ucf101(tmp_path / "data", groups=4, clips=1)
    path.replace(root / "videos/Red/v_Red_g01_c01.avi")
    check = ["data", "check", "ucf101", str(root), "--workers", "1"]
    assert cli.run(check) == 0 and "2 of 100 frames cannot be decoded" in capsys.readouterr().out
    assert cli.run([*check, "--min-readable", "0.99"]) == 1
    assert "is damaged: 2 of 100 frames" in capsys.readouterr().out


def test_each_file_has_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is called and whatever is wrong with it."""
    folder = str(tmp_path / "it")
    made().save_pretrained(folder, classes=NAMES)
    good = write_numbered(tmp_path, count=10)
    odd = [os.fsdecode(os.path.join(os.fsencode(tmp_path), name)) for name in (b"caf\xe9.avi", b"two\nlines.avi")]
    for path in odd:
        shutil.copy(good, path)
    _folder_of_videos(good, tmp_path / "clips", folder, capsys)
    gone = f"{tmp_path}/./gone.avi"
    words = ["predict", *odd, gone, "rtsp://10.0.0.7/live", "--model", folder, "--device", "cpu", "--workers", "0"]
    assert cli.run(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ", 1)[0] for line in lines[:2]] == [f"{tmp_path}/caf\\xe9.avi", f"{tmp_path}/two\\nlines.avi"]
    assert lines[2] == f"{gone}: error: no such file"
    assert lines[3].startswith("rtsp://10.0.0.7/live: error: is the address of a stream, not a file: record it first")
    assert cli.run([*words, "--json"]) == 1
    paths = [json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()]
    assert paths == [f"{tmp_path}/caf\\xe9.avi", odd[1], gone, "rtsp://10.0.0.7/live"]


def bare(folder: Path) -> Path:
    create_model("r3d_tiny").save_pretrained(folder)
    return folder


def _folder_of_videos(good: Path, clips: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Videos at any depth take the folder's place; what is none is counted."""
    (clips / "deep").mkdir(parents=True)
    for name in ("b.avi", "deep/a.avi", "notes.txt"):
        shutil.copy(good, clips / name)
    words = ["predict", str(clips), "--model", model, "--device", "cpu", "--workers", "0", "--clips", "1"]
    assert cli.run(words) == 0
    printed = capsys.readouterr()
    assert [line.split(": ", 1)[0] for line in printed.out.splitlines()] == [f"{clips}/b.avi", f"{clips}/deep/a.avi"]
    assert "left out: 1 file (.txt), neither video nor image" in printed.err
    (clips / "empty").mkdir()
    words[1] = str(clips / "empty")
    assert cli.run(words) == 1
    assert "is a folder without images in it" in capsys.readouterr().out


def test_a_backbone_and_a_checkpoint(video: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number of classes is the checkpoint's, whatever the head is called."""
    path = tmp_path / "theirs.pth"
    state = {name.replace("head.classifier", "backbone.fc")[9:]: value for name, value in made().state_dict().items()}
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    model = ("--model", "r3d_tiny", "--blocks", "snl@layer2.-1")
    classes, message = predict(capsys, video, *model, "--weights", str(path))
    assert classes[0][0] == "class 2" and "have no names" in message
    (tmp_path / "my_labels.txt").write_text("\n".join(NAMES))
    (tmp_path / "other_labels.txt").write_text("one\ntwo\n")  # of something else: two names
    classes, message = predict(capsys, video, *model, "--weights", str(path))
    assert classes[0][0] == "Red" and "named as in" in message and "my_labels.txt" in message
    assert (
        "2 names for the 3 classes"
        in predict(capsys, video, *model, "--weights", str(path), "--labels", str(tmp_path / "other_labels.txt"))[1]
    )
    assert "model 'r3d_tiny' needs a classifier: --weights FILE" in predict(capsys, video, *model)[1]
    torch.save({name: value for name, value in state.items() if not name.startswith("fc.")}, path)
    assert "bring no classifier" in predict(capsys, video, *model, "--weights", str(path))[1]


def test_the_names_of_kinetics_and_imagenet() -> None:
    with torch.device("meta"):
        kinetics, image = create_model("i3d_inception", num_classes=400), create_model("resnet18", num_classes=1000)
        other = create_model("i3d_inception", num_classes=101)
    names, message = class_names(kinetics, weights="some.pt")
    assert names[:2] == ("abseiling", "air drumming") and names[-1] == "zumba"
    assert message.startswith("classes are named as in Kinetics-400, since there are as many")
    assert class_names(kinetics, weights="DEFAULT") == (names, "")
    assert class_names(image, weights="imagenet")[0][0] == "tench"
    assert class_names(other, weights="some.pt")[0][100] == "class 100"


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text('["a b", "c"]')
    assert read_labels(path) == ("a b", "c")
    for text, names in (
        ("a\n\nb c\n", ("a", "b c")),
        ("0 a\n1 b\n", ("a", "b")),
        ("3 point\n1 b\n", ("3 point", "1 b")),
    ):
        (tmp_path / "names.txt").write_text(text)
        assert read_labels(tmp_path / "names.txt") == names
    for text, says in (("{}", "must be a list"), ("[", "is no JSON")):
        path.write_text(text)
        with pytest.raises(ValueError, match=says):
            read_labels(path)
    with pytest.raises(ValueError, match="there is no such file"):
        read_labels(tmp_path / "gone.txt")


@pytest.mark.data
@pytest.mark.slow
def test_inception_i3d_names_what_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real weights on a real clip of UCF-101; and the same weights as the usual port's .pt."""
    from safetensors.torch import load_file

    path = shared("weights/i3d_inception_rgb_k400.safetensors")
    video = str(shared("data/ucf101-5") / "videos/PlayingPiano/v_PlayingPiano_g01_c01.avi")
    classes, message = predict(capsys, video, "--model", "i3d_inception", "--weights", str(path))
    assert classes[0][0] == "playing piano" and "kinetics400_labels.txt" in message
    torch.save({f"module.{name}": tensor for name, tensor in load_file(path).items()}, tmp_path / "rgb_imagenet.pt")
    port = str(tmp_path / "rgb_imagenet.pt")
    assert count_classes(create_model("i3d_inception"), port) == 400
    again, message = predict(capsys, video, "--model", "i3d_inception", "--weights", port)
    assert again == classes and "named as in Kinetics-400" in message
