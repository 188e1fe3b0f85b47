"""The command line without a model: helps that are true and short, examples that parse, mistakes that are answered."""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_videos import write_numbered

from specvid import cli
from specvid.__main__ import main
from specvid.cli import VERBS, find
from specvid.cli.verb import Verb, problem, take
from specvid.pipelines.engine.recipes import RECIPES, get_recipe

EXAMPLES = [
    (name, line) for name in VERBS for line in re.findall(r"^  (specvid .+)$", find(name.split())[0].help, re.M)
]


def verb(name: str) -> Verb:
    return find(name.split())[0]


@pytest.mark.parametrize("name", VERBS)
def test_help_fits_a_screen_and_every_flag_in_it_exists(name: str, capsys) -> None:
    assert cli.run([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text == verb(name).help
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 110
    assert text.startswith(f"specvid {name}:")
    own = re.sub(
        rf"^  specvid (?!{name}).*$|`specvid (?!{name})[^`]*`", "", text, flags=re.M
    )  # other verbs named in it
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", own))
    assert flags <= set(verb(name).flags()), flags - set(verb(name).flags())


def test_torchrun_is_told_where_its_own_options_end() -> None:
    """Without ``--`` it takes ``--run`` for an option of its own."""
    root = Path(__file__).parents[2]
    texts = {name: find(name.split())[0].help for name in VERBS}
    texts |= {path.name: path.read_text() for path in (root / "README.md", *root.glob("docs/*.md"))}
    commands = [(name, line) for name, text in texts.items() for line in re.findall(r"torchrun .*specvid.*", text)]
    assert {"embed", "embeddings.md", "training.md"} <= {name for name, _ in commands}
    assert not [line for _, line in commands if " -m -- specvid " not in line]


@pytest.mark.parametrize("name", VERBS)
def test_help_shows_an_example(name: str) -> None:
    assert any(own == name and line.startswith(f"specvid {name}") for own, line in EXAMPLES)


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_examples_parse(name: str, line: str) -> None:
    found, rest = find(shlex.split(line)[1:])
    assert isinstance(found.parse(rest), found.options)


def test_the_main_help_fits_a_screen_and_its_examples_parse(capsys) -> None:
    assert cli.run([]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 40
    examples = re.findall(r"^  (specvid .+)$", text.split("Example:")[1], re.M)
    assert len(examples) == 3
    for line in examples:
        found, rest = find(shlex.split(line)[1:])
        found.parse(rest)
    for name in VERBS:
        assert f"specvid {name.split()[0]}" in text


@pytest.mark.parametrize(
    "name", ["train action", "train reid", "eval action", "predict", "report", "search query", "ablate"]
)
def test_help_all_lists_every_option(name: str, capsys) -> None:
    assert cli.run([*name.split(), "--help-all"]) == 0
    text = capsys.readouterr().out
    for flag in verb(name).flags():
        if not flag.startswith("--no-") and flag not in ("--help-all", "--videos", "--runs", "--folder", "--query"):
            assert flag in text, flag


@pytest.mark.parametrize("name", ["train action", "train reid", "train pretrain"])
def test_help_all_says_what_recipes_set(name: str, capsys) -> None:
    kind = verb(name).options
    cli.run([*name.split(), "--help-all"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--recipe STR" in text and "--config FILE" in text
    assert set(RECIPES[kind]) >= {"small"} or set(RECIPES[kind]) >= {"baseline"}
    for recipe in RECIPES[kind]:
        settings, plain = get_recipe(kind, recipe), kind()
        own = text.partition("recipes (--recipe NAME)")[2].partition(f" {recipe} ")[2]
        assert own
        if settings.train.lr != plain.train.lr:
            assert f"lr {plain.train.lr} -> {settings.train.lr}" in own
    recipe, wanted = {
        "train action": ("finetune", "0.0002"),
        "train reid": ("tiny", "0.02"),
        "train pretrain": ("small", "0.002"),
    }[name]
    cli.run([*name.split(), "--recipe", recipe, "--help-all"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"Peak learning rate. (default: {wanted})" in text
    assert f"(default: {recipe})" in text


def test_the_help_of_a_group_says_what_its_verbs_do(capsys) -> None:
    for group in ("train", "eval", "search", "data", "bench"):
        assert cli.run([group, "--help"]) == 0
        text = capsys.readouterr().out
        for name in VERBS:
            if name.startswith(f"{group} "):
                says = verb(name).help.splitlines()[0].partition(": ")[2]
                assert says and re.search(rf"specvid {name} +{re.escape(says)}", text)


def test_every_setting_of_a_training_can_be_given() -> None:
    words = "--epochs 3 --milestones 1 2 --schedule step --size 32 --no-tensorboard --blocks snl@layer2.-1 --compile"
    config = verb("train action").parse(words.split())
    assert (config.train.epochs, config.train.milestones, config.clips.size) == (3, (1, 2), 32)
    assert (config.train.tensorboard, config.train.compile, config.net.blocks) == (False, True, "snl@layer2.-1")


def test_options_win_over_recipes_and_recipes_over_defaults() -> None:
    parse = verb("train action").parse
    assert parse([]).train.optimizer == "sgd"
    assert parse(["--model", "r3d_tiny"]).train.schedule == "onecycle"
    assert parse(["--model", "r3d_tiny", "--schedule", "cosine"]).train.schedule == "cosine"
    assert parse(["--weights", "DEFAULT"]).train.epochs == 30
    assert parse(["--recipe=small"]).net.model == "r3d_tiny"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("trian action", r"verb 'trian' is unknown. Did you mean 'train'"),
        ("train actoin", r"verb 'train actoin' is unknown. Did you mean 'train action'"),
        ("train", r"train needs to know what: `specvid train action`"),
        ("embed emb --to lancedb", r"option '--to' of specvid embed is unknown. `specvid embed export` has it"),
        ("train action --blokcs snl", r"option '--blokcs' of specvid train action is unknown. Did you mean '--blocks'"),
        ("train action --lr fast", r"lr 'fast' must be a number"),
        (f"train action --lr {'fast' * 40}", f"lr '{'fast' * 40}' must be a number"),
        ("train action --milestones 2 3 four", r"milestones 'four' must be a whole number"),
        ("train action --deterministic yes", r"'yes' belongs to no option"),
        ("train action --optimizer adam", r"'adam' is unknown. Did you mean 'adamw'\? Choose from: adamw, sgd\."),
        ("eval reid --data x --dataset marss", r"--dataset 'marss' is unknown. Did you mean 'mars'\?"),
        ("train reid --data nowhere", r"nowhere does not exist; expected the root of MARS\."),
        ("train reid --dataset prid2011 --data nowhere", r"nowhere does not exist; expected the root of PRID-2011\."),
        ("train reid --dataset ilids-vid --data nowhere", r"nowhere does not exist; expected the root of iLIDS-VID\."),
        ("train reid --dataset tracklets --data nowhere", r"nowhere does not exist; expected a folder or a table"),
        ("train action --dataset table --data nowhere.csv", r"nowhere.csv does not exist; expected a file"),
        ("train action --epochs 0", r"epochs 0 must be at least 1"),
        ("train action --batch-size 10 --accumulate 4", r"batch_size 10 must be a multiple of accumulate 4"),
        ("train action --recipe smal", r"recipe 'smal' is unknown. Did you mean 'small'"),
        ("train action --config", r"--config needs a value"),
        ("train action --config x --recipe small", r"exclude each other"),
        ("train action --config nowhere.json", r"'nowhere.json' cannot be read"),
        ("train action --name ../x --data d", r"name '../x' must be a plain folder name"),
        ("train action --name ..", r"name '..' must be a plain folder name"),
        ("train reid --name .", r"name '.' must be a plain folder name"),
        ("train reid --runs= --data d", r"runs '' names no folder"),
        ("train action", r"data is not given: --data DIR"),
        ("train action --data nowhere", r"nowhere does not exist; expected the root of UCF-101"),
        ("eval action", r"run is not given"),
        ("eval action --run nowhere", r"run 'nowhere' is no folder of a run"),
        ("eval action --run x --splits 1;2", r"splits '1;2' must be numbers"),
        ("eval action --run x --split 1 --splits 1,2", r"exclude each other"),
        ("eval action --run x-{split}", r"name them with --splits"),
        ("eval action --run x --clips 0", r"clips 0 must be at least 1"),
        ("predict", r"no VIDEO is given"),
        ("predict a.avi", r"run is not given"),
        ("predict a.avi --run nowhere --min-readable 2", r"min_readable 2.0 must be a share"),
        ("search query nowhere 7 --min-readable 2", r"min_readable 2.0 must be a share"),
        ("predict a.avi --run nowhere", r"run 'nowhere' is no folder of a run"),
        ("report", r"no RUN is given"),
        ("report nowhere", r"run 'nowhere' is not a folder"),
        ("bench loader", r"DATA is not given"),
        ("bench loader x --clips 0", r"clips 0 must be at least 1"),
        ("bench loader x --workers -1", r"workers -1 must be at least 0"),
        ("bench model --size 112 0", r"size 0 must be at least 1"),
        ("bench model --steps 0", r"steps 0 must be at least 1"),
        ("bench blocks --channels 64 0", r"channels 0 must be at least 1"),
        ("bench embed x --batch-size 0", r"batch_size 0 must be at least 1"),
        ("bench search --rows 0", r"rows 0 must be at least 1"),
        ("bench search --rows 100", r"rows=100 are too few for index 'ivfpq': at least \d+, or --kinds flat hnsw"),
        ("bench start --rounds 0", r"rounds 0 must be at least 1"),
        ("bench blocks --memory --variants snl-folded", r"variant 'snl-folded' has no training step"),
        ("data", r"data needs to know what: `specvid data check`"),
        ("data check", r"data set '' is unknown.*ucf101"),
        ("data check ucf102 x", r"data set 'ucf102' is unknown. Did you mean 'ucf101'"),
        ("data check ucf101", r"DIR is not given"),
        ("data check ucf101 nowhere", r"nowhere does not exist"),
        ("data prepare ucf101 nowhere --out x", r"nowhere does not exist"),
        ("data prepare ucf101 .", r"--out DIR is not given"),
        ("data synthesize ucf101 x --scenes 0", r"scenes is 0"),
    ],
)
def test_mistakes_are_one_clear_line(line: str, says: str, capsys, monkeypatch) -> None:
    monkeypatch.delenv("SPECVID_DEBUG", raising=False)
    assert cli.run(shlex.split(line.replace(";", r"\;"))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("specvid: ")
    assert re.search(says, err), err


OUTPUTS = [
    ("report runs --html", "html"),
    ("report runs --out", "out"),
    ("search query emb 1.mp4 --html", "html"),
    ("data check ucf101 UCF101 --table", "table"),
    ("export --model r3d_tiny --out", "out"),
    ("bench blocks --csv", "csv"),
    ("bench all --quick --out", "out"),
]


@pytest.mark.parametrize(("line", "option"), OUTPUTS)
def test_files_to_write_are_checked_before_the_work(line: str, option: str, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emb").mkdir()
    for place in ("folder.onnx", "pipe.onnx"):
        os.mkfifo(place) if place.startswith("pipe") else os.mkdir(place)
        assert cli.run([*line.split(), place]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert f"{option} '{place}' is a" in said


@pytest.mark.parametrize(
    "line",
    [
        "report runs --figures",
        "search query emb 1.mp4 --cut",
        "eval reid --features a.npz --out",
        "eval action --run runs/a runs/b --fuse mean --out",
        "eval reid --model osnet_x0_25 --data DIR --out",
    ],
)
def test_folders_to_write_are_checked_before_the_work(line: str, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emb").mkdir()
    (tmp_path / "file").write_text("mine")
    assert cli.run([*line.split(), "file"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{line.split()[-1].strip('-')} 'file' is no folder" in said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_that_begins_with_two_underscores_is_no_flag() -> None:
    assert "__a.mp4" in verb("predict").parse(["__a.mp4", "--run", "__b"]).videos
    with pytest.raises(ValueError, match="option '--top-x' of specvid predict is unknown"):
        verb("predict").parse(["a.mp4", "--top_x", "3"])


def test_names_that_begin_with_a_dash(tmp_path, capsys, monkeypatch) -> None:
    """As everywhere: after ``--`` all are names."""
    parse = verb("predict").parse
    assert parse(["--top", "3", "a.mp4", "--", "-abc123.mp4", "--", "--top"]).videos == (
        *("a.mp4", "-abc123.mp4", "--", "--top"),
    )
    assert parse(["--", "--help"]).videos == ("--help",)
    assert cli.run(["predict", "--", "--help"]) == 2 and "run is not given" in capsys.readouterr().err
    assert verb("train action").parse(["--data", "d", "--recipe", "small", "--"]).clips.data == "d"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-abc123.mp4").touch()
    assert cli.run(["predict", "-abc123.mp4"]) == 2
    assert "option '-abc123.mp4' is unknown. A file called so is written ./-abc123.mp4, or after --. See" in (
        capsys.readouterr().err
    )


def test_any_name_can_be_printed(monkeypatch) -> None:
    """Most locales make Python's stdout refuse names that are not UTF-8; those of Windows refuse far more."""
    for encoding, printed in (("utf-8", b"caf\\udce9 \xe2\x82\xac\n"), ("latin-1", b"caf\\udce9 \\u20ac\n")):
        data = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding, errors="strict"))
        monkeypatch.setattr(cli, "run", lambda words: print("caf\udce9 \u20ac"))
        main()
        sys.stdout.flush()
        assert data.getvalue() == printed


def test_debug_shows_the_traceback(monkeypatch) -> None:
    monkeypatch.setenv("SPECVID_DEBUG", "1")
    with pytest.raises(ValueError, match="no VIDEO"):
        cli.run(["predict"])


def test_semaphores_are_files_in_shared_memory() -> None:
    with pytest.raises(OSError, match="No space left") as full:
        exec("raise OSError(28, 'No space left')", {"__name__": "multiprocessing.synchronize"})
    assert str(problem(full.value)).startswith("there is too little shared memory (/dev/shm)")


def test_a_fault_of_the_program_is_not_dressed_up_as_the_users() -> None:
    assert problem(RuntimeError("bug")) is None
    assert problem(KeyError("bug")) is None
    assert problem(ValueError("a\n  b")) == "a b"
    worker = "Caught VideoError in DataLoader worker process 0.\nTraceback ...\nspecvid.x.VideoError: a.avi: damaged"
    assert problem(ValueError(worker)) == "a.avi: damaged"
    full = problem(RuntimeError("unable to resize file </torch_1_2_0> to the right size: No space left on device (28)"))
    assert full is not None and full.startswith("there is too little shared memory (/dev/shm)") and "--workers" in full
    assert problem(OSError(28, "No space left")) == "what is printed cannot be written (No space left)."
    assert problem(OSError(2, "No such file", "a.txt")) == "[Errno 2] No such file: 'a.txt'"
    assert problem(PermissionError(13, "Permission denied", "/proc/1/x")) == (
        "'/proc/1/x' cannot be opened (permission denied): give this user the right to, or name another place."
    )
    with pytest.raises(RuntimeError) as much:
        torch.empty(2**60)
    assert "4611686018427387904 bytes asked for at once" in str(problem(much.value))
    with pytest.raises(MemoryError) as more:
        np.empty(2**56)
    assert "512. PiB asked for at once). Take a smaller network, smaller clips" in str(problem(more.value))
    assert problem(ImportError("x is missing: pip install x")) == "x is missing: pip install x"
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    assert problem(killed) == "a decoding process died (Killed). Out of memory? Lower --workers."
    assert problem(ImportError("cannot import name y")) is None


def test_take() -> None:
    assert take(["a", "--config", "x", "b"], "--config") == ("x", ["a", "b"])
    assert take(["--config=x", "--configs"], "--config") == ("x", ["--configs"])
    assert take(["a"], "--config") == (None, ["a"])


def test_help_is_quick() -> None:
    """Best of three, of the processor's time: other processes do not count; no torch is imported for it."""
    code = "import sys; from specvid.cli import run; run(['--help']); assert 'torch' not in sys.modules"
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)
        after = os.times()
        seconds.append(sum(after[2:4]) - sum(before[2:4]))  # of children, user and system
    assert 0 < min(seconds) < 0.5


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "x"}, "RANK is 'x' in the environment, and must be a whole number. Unset it."),
        ({"SLURM_PROCID": "-1"}, "SLURM_PROCID is '-1' in the environment, and must be a whole number. Unset it."),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "0"}, "LOCAL_RANK is not set in the environment"),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "5"}, "RANK 5 must be less than WORLD_SIZE 2. Start by torchrun"),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "1", "LOCAL_WORLD_SIZE": "0"}, "LOCAL_RANK 0 must be less than LOCAL"),
        (
            {"TORCHELASTIC_RUN_ID": "a", "RANK": "1", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2"},
            "WORLD_SIZE 3, LOCAL_WORLD_SIZE 2: every",
        ),
    ],
)
def test_what_a_launcher_says_is_checked(environment, message, monkeypatch, capsys) -> None:
    if len(environment) > 1 and "is not set" not in message:
        environment = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", **environment}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["report", "nothing"]) == 2
    assert capsys.readouterr().err.startswith(f"specvid: {message}")


def test_warnings_of_ours_are_sentences_without_a_line_of_code() -> None:
    code = (
        "import warnings; from specvid import fonts; from specvid.cli.verb import plain_warnings\n"
        "with plain_warnings():\n"
        "    fonts._said([], '\\u2603\\x1b[1m')\n"
        "    warnings.warn('of whoever calls', stacklevel=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours, *others = done.stderr.splitlines()
    assert ours.startswith("specvid: warning: no installed font has a glyph for \u2603\\x1b[1m, drawn as boxes")
    assert others == ["<string>:4: UserWarning: of whoever calls"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 looks into the working directory whatever one says")
def test_the_working_directory_is_imported_from_by_no_process(tmp_path) -> None:
    """A folder of videos with Python's modules beside them, where `specvid data check` starts its processes."""
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        write_numbered(tmp_path / name, count=20)
    for module in ("multiprocessing", "numpy", "specvid"):
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({module!r})")
    code = "import sys; sys.path[:] = sys.path[1:]; from specvid.__main__ import main; sys.exit(main())"
    words = ["data", "check", "folders", ".", "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert not (tmp_path / "ran").exists()
