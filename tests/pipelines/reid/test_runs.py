"""Training and scoring a re-identifier through the command line, on small synthetic sets."""

import csv
import json

import numpy as np
import pytest
from checksums import sha256
from PIL import Image
from shared_data import shared
from tiny_reid import evaluate, synthesize_tiny_mars, synthesize_tiny_prid, train

from specvid import cli
from specvid.eval import load_features, score_reid
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network
from specvid.pipelines.reid.config import ReidClipsConfig
from specvid.pipelines.reid.data import read_lists


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return synthesize_tiny_mars(tmp_path_factory.mktemp("data") / "mars")


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Runs a (with a block and a centre loss) and p1, p2 (on splits of a PRID)."""
    runs = tmp_path_factory.mktemp("runs")
    assert train(data, runs, "--name a --blocks snl@layer2.-1 --epochs 2 --centre 5e-4") == 0
    prid = synthesize_tiny_prid(runs.parent / "prid")
    for split in (1, 2):
        assert train(prid, runs, f"--name p{split} --dataset prid2011 --split {split} --epochs 1") == 0
    return runs


def test_a_run_saves_what_it_did(runs, data):
    run = RunFolder(runs / "a")
    results = run.results()
    assert results["task"] == "reid"
    (entry,) = results["evaluations"]
    assert list(entry["protocols"]) == ["mars", "mars-ap", "mars-noquery"]
    assert (entry["dataset"], entry["sampling"], entry["checkpoint"]) == (
        "MARS cut down to 21 of 12,180 test tracklets",
        "all",
        "last",
    )
    assert entry["protocols"]["mars"]["gallery_tracklets"] == 21
    folder = run.path / "eval/split1-last-all"
    with (folder / "queries-mars.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[0]["name"].endswith("T0001")
    assert np.mean([float(row["ap"]) for row in rows]) == pytest.approx(entry["protocols"]["mars"]["mAP"])
    meta = run.meta("last")
    assert meta["test_sampling"] == "all"
    assert meta["identities"] == [1, 3]
    assert "triplet_loss" in run.lines()[-1]
    assert "centre_loss" in run.lines()[-1]
    assert "lowest training loss" in results["training"]["best_is"]


def test_features_score_again_without_the_model(runs, capsys, tmp_path):
    file = runs / "a/eval/split1-last-all/features.parquet"
    entry = RunFolder(runs / "a").results()["evaluations"][0]
    for protocol, figures in entry["protocols"].items():
        assert load_features(file).score(protocol).mAP == figures["mAP"]
    assert evaluate(f"--features {file} --all-protocols --out {tmp_path}") == 0
    text = capsys.readouterr().out
    for protocol, figures in entry["protocols"].items():
        assert f"{protocol}: mAP {100 * figures['mAP']:.2f}" in text
    assert json.loads((tmp_path / "results.json").read_text())["protocols"].keys() == entry["protocols"].keys()
    assert (tmp_path / "queries-mars-ap.csv").is_file()


def test_the_report_has_a_row_for_each_protocol(runs, capsys):
    assert cli.run(["report", str(runs / "a"), "--metrics", "mAP", "rank1", "--markdown"]) == 0
    heading, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()
    )
    evaluation = RunFolder(runs / "a").results()["evaluations"][0]
    protocols = evaluation["protocols"]
    found = {row[heading.index("protocol")]: row for row in rows}
    assert list(found) == list(protocols)
    for name, row in found.items():
        figures = protocols[name]
        assert row[heading.index("input")] == evaluation["input"]
        assert row[heading.index("scored")] == f"{figures['valid_queries']} of {figures['queries']} queries"
        assert row[-2:] == [f"{100 * figures['mAP']:.2f}", f"{100 * figures['rank1']:.2f}"]


def test_anybodys_features(tmp_path, capsys):
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((4, 8)), rng.standard_normal((9, 8))
    ids, cams = [5, 5, 9, 9, 9, 5, 9, 5, 5], list("abababbab")
    np.savez(
        tmp_path / "f.npz",
        query=query,
        gallery=gallery,
        query_ids=[5, 9, 5, 9],
        gallery_ids=ids,
        query_cams=list("abab"),
        gallery_cams=cams,
    )
    assert evaluate(f"--features {tmp_path / 'f.npz'} --json") == 0
    figures = json.loads(capsys.readouterr().out)["evaluations"][0]["protocols"]["cross-camera"]
    expected = score_reid(query, gallery, [5, 9, 5, 9], ids, list("abab"), cams, protocol="cross-camera")
    assert figures["mAP"] == expected.mAP
    assert (figures["valid_queries"], figures["gallery_tracklets"]) == (4, 9)


def test_a_network_is_scored_as_its_weights_are(data, tmp_path, capsys):
    """No run is needed: the features are those of the network itself."""
    words = "--model r3d_tiny --frames 4 --height 24 --width 10 --protocol mars-ap"
    assert evaluate(f"{words} --data {data} --out {tmp_path} --json") == 0
    (entry,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert (entry["network"], entry["checkpoint"], entry["trained_on"]) == ("r3d_tiny", "", 0)
    features = load_features(tmp_path / "features.parquet")
    model = open_network(NetworkConfig(model="r3d_tiny")).model
    assert features.query.shape == (12, model.embedding_dim)
    assert features.score("mars-ap").mAP == pytest.approx(entry["protocols"]["mars-ap"]["mAP"])
    assert evaluate(f"{words} --data {data}") == 0
    text = capsys.readouterr().out
    assert "r3d_tiny, not trained here: MARS cut down" in text
    assert "split 1, all frames in chunks of 4, 24 x 10 px, bilinear\n" in text  # no figure without its protocol
    assert evaluate(f"{words} --data {data} --height 32 --frames 2 --test-sampling even --flip-test") == 0
    assert "split 1, 2 evenly spaced frames and their mirror images, 32 x 10 px, bilinear\n" in capsys.readouterr().out


def test_how_frames_are_resized_is_kept_and_said(data, tmp_path, capsys):
    """By a run, by its evaluation, and by that of a network without a run."""
    assert train(data, tmp_path, "--name cubic --epochs 1 --interpolation bicubic") == 0
    run = RunFolder(tmp_path / "cubic")
    assert run.meta("last")["input"]["interpolation"] == "bicubic"
    assert run.results()["evaluations"][0]["interpolation"] == "bicubic"
    features = {}
    capsys.readouterr()
    for how in ("bilinear", "bicubic"):
        words = f"--model r3d_tiny --frames 4 --height 24 --width 10 --interpolation {how} --data {data}"
        assert evaluate(f"{words} --protocol mars-ap --out {tmp_path / how}") == 0
        assert f"all frames in chunks of 4, 24 x 10 px, {how}\n" in capsys.readouterr().out
        features[how] = load_features(tmp_path / how / "features.parquet").query
    assert np.abs(features["bilinear"] - features["bicubic"]).max() > 1e-4
    assert evaluate(f"--run {run.path}") == 0
    assert "px, bicubic\n" in capsys.readouterr().out


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("interpolation", "mean_ap", "first"), [("bilinear", 0.882, 188 / 209), ("bicubic", 0.8722, 186 / 209)]
)
def test_osnet_from_market_on_real_tracklets(interpolation, mean_ap, first, capsys):
    """OSNet x0.25 as torchreid trained it; the bicubic figures are those measured elsewhere (docs/results.md)."""
    weights, real = shared("weights/osnet_x0_25_market1501.safetensors"), shared("data/mars-mini")
    words = f"--model osnet_x0_25 --weights {weights} --data {real} --protocol mars-ap --json"
    assert evaluate(f"{words} --interpolation {interpolation}") == 0
    (entry,) = json.loads(capsys.readouterr().out)["evaluations"]
    score = entry["protocols"]["mars-ap"]
    assert (score["mAP"], score["rank1"]) == (pytest.approx(mean_ap, abs=0.002), pytest.approx(first, abs=0.005))


def test_flags_as_words_are_scored_as_meant(tmp_path, capsys):
    rng = np.random.default_rng(1)
    features, ids, cams = rng.standard_normal((8, 4)), [1, 2, 1, 2, 1, 2, 1, 2], [0, 0, 1, 1, 2, 2, 0, 0]
    is_query = np.array([True, True, *[False] * 6])
    for name, flags in (("bools", is_query), ("words", is_query.astype(str))):
        np.savez(tmp_path / f"{name}.npz", features=features, ids=ids, cams=cams, is_query=flags)
    found = []
    for name in ("bools", "words"):
        assert evaluate(f"--features {tmp_path / name}.npz --json") == 0
        found.append(json.loads(capsys.readouterr().out)["evaluations"][0]["protocols"]["cross-camera"])
    assert found[0] == found[1]
    assert found[1]["queries"] == 2
    np.savez(tmp_path / "nulls.npz", features=features, ids=ids, cams=cams, is_query=["True", ""] * 4)
    assert evaluate(f"--features {tmp_path / 'nulls.npz'}") == 2
    assert "is_query is '' in row 1 (4 such rows); it must be true or false" in capsys.readouterr().err


def test_all_protocols_of_anybodys_features_are_those_of_mars(tmp_path, capsys):
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((9, 8))
    arrays = {"features": gallery, "ids": [5, 5, 9, 9, -1, 0, 9, 5, 5], "cams": list("abababbab")}
    np.savez(tmp_path / "f.npz", **arrays, query_index=[0, 2])
    assert evaluate(f"--features {tmp_path / 'f.npz'} --all-protocols --metric euclidean") == 0
    text = capsys.readouterr().out
    assert [line.split(":")[0].strip() for line in text.splitlines() if ": mAP" in line] == [
        "mars",
        "mars-ap",
        "mars-noquery",
    ]
    assert text.count(", euclidean") == 3
    features = load_features(tmp_path / "f.npz")
    assert f"mars: mAP {100 * features.score('mars', metric='euclidean').mAP:.2f}" in text
    np.savez(tmp_path / "g.npz", **arrays, query_index=[0, 2], about=json.dumps({"protocol": "prid2011"}))
    assert evaluate(f"--features {tmp_path / 'g.npz'} --all-protocols") == 2
    assert "scored under prid2011. Leave --all-protocols out" in capsys.readouterr().err


def test_a_run_is_scored_again_in_other_ways(runs, capsys):
    assert evaluate(f"--run {runs / 'a'} --protocol mars-ap --test-sampling even --rerank --flip-test") == 0
    text = capsys.readouterr().out
    assert "mars-ap: mAP" in text
    assert "k-reciprocal re-ranking (k1=20, k2=6, lambda=0.3)" in text
    assert "mars: mAP" not in text
    assert "MARS cut down to 21 of 12,180 test tracklets, split 1" in text
    entries = RunFolder(runs / "a").results()["evaluations"]
    assert [entry["sampling"] for entry in entries] == ["all", "even-flip"]
    assert (runs / "a/eval/split1-last-even-flip-reranked/features.parquet").is_file()
    # What training printed is what eval prints.
    assert evaluate(f"--run {runs / 'a'} --all-protocols --json") == 0
    again = json.loads(capsys.readouterr().out)["evaluations"][0]
    assert again["protocols"] == entries[0]["protocols"]


def test_splits_have_a_mean_and_a_deviation(runs, capsys):
    assert evaluate(f"--run {runs}/p{{split}} --splits 1,2") == 0
    text = capsys.readouterr().out
    assert "prid2011: mAP" in text
    assert "mean ± deviation of 2 splits (published figures average 10)" in text
    files = [str(runs / f"p{split}/eval/split{split}-last-all/features.parquet") for split in (1, 2)]
    assert evaluate(f"--features {' '.join(files)} --json") == 0
    figures = json.loads(capsys.readouterr().out)
    each = [entry["protocols"]["prid2011"]["mAP"] for entry in figures["evaluations"]]
    assert figures["mean"]["prid2011"]["mAP"] == pytest.approx(np.mean(each))
    assert figures["mean"]["prid2011"]["mAP_deviation"] == pytest.approx(np.std(each, ddof=1))


def test_identities_who_were_trained_on_are_not_tested_silently(runs, capsys):
    assert evaluate(f"--run {runs}/p1 --split 2") == 2
    assert evaluate(f"--run {runs}/p1 --split 2 --force") == 0
    assert "NOT HONEST" in capsys.readouterr().out


def test_another_data_set_has_a_place_of_its_own(runs, data, capsys, tmp_path):
    own = runs / "p1/eval/split1-last-all/features.parquet"
    before = sha256(own)
    assert evaluate(f"--run {runs}/p1 --dataset mars --data {data}") == 0
    assert "mars: mAP" in capsys.readouterr().out
    # As large as the one trained on, so of its title, and yet another one.
    other = synthesize_tiny_prid(tmp_path / "prid")
    assert evaluate(f"--run {runs}/p1 --data {other}") == 0
    assert sha256(own) == before
    results = RunFolder(runs / "p1").results()["evaluations"]
    assert [entry["elsewhere"] for entry in results[-2:]] == [True, True]


def test_a_narrower_scoring_prints_its_own_and_keeps_all(runs, capsys):
    def kept():
        entries = RunFolder(runs / "a").results()["evaluations"]
        return [entry["protocols"] for entry in entries if entry["sampling"] == "all" and not entry["rerank"]]

    before = kept()
    assert evaluate(f"--run {runs / 'a'}") == 0
    assert "mars-ap" not in capsys.readouterr().out
    assert kept() == before
    assert list(before[0]) == ["mars", "mars-ap", "mars-noquery"]


def test_own_data_numbers_its_identities_as_it_likes(tmp_path, capsys):
    """The same numbers in another table are other identities; the same table again holds the identities trained on."""
    tables = [own_table(tmp_path / place, parts=(("train", (1, 2)), ("test", (3, 4)))) for place in "ab"]
    assert train(tables[0], tmp_path, "--name own --dataset tracklets --epochs 1") == 0
    swapped = own_table(tmp_path / "b", parts=(("train", (3, 4)), ("test", (1, 2))))
    capsys.readouterr()
    assert evaluate(f"--run {tmp_path / 'own'} --dataset tracklets --data {swapped}") == 0
    assert "NOT HONEST" not in capsys.readouterr().out
    folders = sorted(path.name for path in (tmp_path / "own/eval").iterdir())
    assert folders[0] == "split1-last-all"
    assert folders[1].startswith("split1-last-all-on-frames.csv-")
    own_table(tmp_path / "a", parts=(("train", (3, 4)), ("test", (1, 2))))
    assert evaluate(f"--run {tmp_path / 'own'}") == 2
    assert "2 of the identities in the test" in capsys.readouterr().err


def test_what_cannot_be_scored_is_not_trained_on(tmp_path, capsys):
    table = own_table(tmp_path / "a", parts=(("train", (1, 2)), ("test", (3, 4))), cameras="a")
    assert train(table, tmp_path, "--name one --dataset tracklets --epochs 1") == 2
    assert "all tracklets have the camera a" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


def own_table(folder, *, parts, cameras="ab"):
    """``frames.csv`` of four frames for each identity and camera; ``parts``: (set, identities) pairs."""
    folder.mkdir(exist_ok=True)
    rows = ["path,pid,camid,set"]
    for part, identities in parts:
        for identity in identities:
            for camera in cameras:
                for frame in range(4):
                    name = f"{identity}{camera}{frame}.png"
                    Image.new("RGB", (10, 24), (60 * identity, 40 * frame, 99)).save(folder / name)
                    rows.append(f"{name},{identity},{camera},{part}")
    (folder / "frames.csv").write_text("\n".join(rows) + "\n")
    return folder / "frames.csv"


def test_splits_of_another_data_set(runs, capsys):
    assert evaluate(f"--run {runs}/a --dataset prid2011 --data {runs.parent / 'prid'} --splits 1,3 --json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [entry["split"] for entry in figures["evaluations"]] == [1, 3]
    assert list(figures["mean"]) == ["prid2011"]


def test_a_checkpoint_opens_with_its_centres(runs):
    model = open_network(NetworkConfig(run=str(runs / "a"))).model
    assert model.centres.shape == (2, model.embedding_dim)
    assert model.centres.abs().sum() > 0


def test_held_out_identities_select_the_best(tmp_path):
    from specvid.datasets.synthetic.gait import Gait
    from specvid.datasets.synthetic.reid import synthesize_mars

    synthesize_mars(tmp_path / "mars", tracklets=4, task=Gait(identities=8, frames=6))
    assert train(tmp_path / "mars", tmp_path, "--name v --epochs 2 --val-fraction 0.5") == 0
    lists = read_lists(ReidClipsConfig(data=str(tmp_path / "mars"), val_fraction=0.5))
    held = {tracklet.pid for tracklet in lists.validation.test}
    assert len(held) == len(lists.classes) == 2
    assert not held & set(lists.classes)
    assert not held & {tracklet.pid for tracklet in lists.data.test}
    run = RunFolder(tmp_path / "v")
    assert all(0 <= line["val_mAP"] <= 1 for line in run.lines())
    assert "held out of the ones to train on" in run.meta("best")["best_is"]
    assert evaluate(f"--run {tmp_path / 'v'} --checkpoint best") == 0


def test_training_continues_where_it_stopped(data, tmp_path):
    words = "--name r --epochs 3 --save-every 1"
    assert train(data, tmp_path / "whole", words) == 0
    from specvid.pipelines.engine import loop

    class Stop(Exception):
        pass

    original = loop.TrainState.update

    def stop(state):
        original(state)
        if state.step == 2:
            raise Stop

    loop.TrainState.update = stop
    try:
        with pytest.raises(Stop):
            train(data, tmp_path / "parts", words)
    finally:
        loop.TrainState.update = original
    assert train(data, tmp_path / "parts", f"{words} --resume auto") == 0
    whole, parts = (RunFolder(tmp_path / name / "r") for name in ("whole", "parts"))
    assert [line["loss"] for line in parts.lines()] == [line["loss"] for line in whole.lines()]
    assert parts.results()["evaluations"] == whole.results()["evaluations"]


def test_unreadable_tracklets_are_named_and_change_the_exit_code(tmp_path, capsys):
    data = synthesize_tiny_mars(tmp_path / "mars")
    lost = sorted((data / "bbox_test").glob("0002/0002C1T0002F*"))
    for file in lost:
        file.write_bytes(b"")
    torn = sorted((data / "bbox_train").glob("*/*F00[23].jpg"))
    for file in torn:
        file.unlink()
    assert train(data, tmp_path, "--name u --epochs 1 --repeats 8") == 1
    text = capsys.readouterr().out
    assert "1 tracklet without a readable frame, similar to nothing: 0002C1T0002" in text
    assert f"unreadable: {lost[0]}" in text
    run = RunFolder(tmp_path / "u")
    named = run.lines()[0]["unreadable_files"]
    assert named
    assert all(any(file.startswith(str(path)) for path in torn) for file in named)
    assert run.results()["evaluations"][0]["lost"] == ["0002C1T0002"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("train reid --identities 3", "identities x tracklets = 3 x 4 = 12"),
        ("train reid --model resnet18", "data is not given"),
        ("train reid --recipe mobil", "Did you mean 'mobile'"),
        ("eval reid", "give one of --run RUN"),
        ("eval reid --run a --features b", "give one of --run RUN"),
        ("eval reid --run a --model r3d_tiny", "give one of --run RUN"),
        ("eval reid --model r3d_tiny", "data is not given"),
        ("eval reid --run a --weights b", "--weights b applies to --model only"),
        ("eval reid --run a --interpolation area", "--interpolation area applies to --model only"),
        ("train reid --data d --interpolation cubic", "cubic"),
        ("eval reid --features nowhere.npz", "no such file"),
        ("eval reid --features nowhere.npz --protocol marz", "Did you mean 'mars"),
        ("eval reid --run nowhere", "is no folder of a run"),
        ("eval reid --run x --dataset mars", "needs --data DIR"),
        ("eval reid --run x --metric euclidean", "--metric euclidean applies to --features only"),
        ("eval reid --run x --k1 5", "--k1 5 applies to --rerank only"),
        ("eval reid --features x --split 2", "--split 2 applies to --run or --model only"),
        ("eval reid --features x --test-sampling even", "--test-sampling even applies to --run or --model only"),
        ("eval reid --features x --flip-test", "--flip-test applies to --run or --model only"),
        ("eval reid --features marz.npz --all-protocols --protocol cross-camera", "MARS's three"),
        ("eval reid --run x-{split}", "name them with --splits"),
    ],
)
def test_mistakes_are_one_clear_line(words, cause, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECVID_DEBUG", raising=False)
    if "marz" in words:
        np.savez(
            words.split()[3],
            query=np.eye(2),
            gallery=np.eye(2),
            query_ids=[1, 2],
            gallery_ids=[1, 2],
            query_cams=[0, 0],
            gallery_cams=[1, 1],
        )
    assert cli.run(words.split()) == 2
    err = capsys.readouterr().err
    assert cause in err
    assert len(err.splitlines()) == 1


def test_an_action_run_is_no_reid_run(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/config.json").write_text(json.dumps({"task": "action"}))
    assert evaluate(f"--run {tmp_path / 'x'}") == 2
    assert "is of the task 'action', not of 'reid'. Score it with `specvid eval action`" in capsys.readouterr().err


def test_a_limit_is_for_trying_out_and_says_so(tmp_path, capsys):
    from specvid.datasets.synthetic.gait import Gait
    from specvid.datasets.synthetic.reid import synthesize_mars

    synthesize_mars(tmp_path / "mars", tracklets=4, task=Gait(identities=8, frames=6))
    whole, few = (read_lists(ReidClipsConfig(data=str(tmp_path / "mars"), limit=limit)) for limit in (0, 2))
    assert len(few.classes) == 2 and set(few.classes) < set(whole.classes)
    queries = [few.data.test[row] for row in few.data.query]
    assert len({tracklet.pid for tracklet in few.data.test}) == len({tracklet.pid for tracklet in queries}) == 2
    names = {tracklet.name for tracklet in queries}
    assert names == {
        tracklet.name
        for tracklet in (whole.data.test[row] for row in whole.data.query)
        if tracklet.pid in {query.pid for query in queries}
    }
    assert np.array_equal(few.data.gallery[few.data.query_index], few.data.query)
    assert train(tmp_path / "mars", tmp_path, "--name l --epochs 1 --limit 2") == 0
    assert "no more than 2 identities of each part" in capsys.readouterr().out
    assert evaluate(f"--run {tmp_path / 'l'}") == 0  # scored on all
    assert "no more than" not in capsys.readouterr().out
