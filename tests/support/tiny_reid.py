"""Small synthetic re-ID sets and quick runs on them, for the tests of the pipelines."""

from pathlib import Path

from specvid import cli
from specvid.datasets.synthetic.gait import Gait
from specvid.datasets.synthetic.reid import synthesize_mars, synthesize_prid2011

GAIT = Gait(identities=4, frames=6)
QUICK = (
    "--model r3d_tiny --frames 4 --height 24 --width 10 --identities 2 --tracklets 2 --batch-size 4 --repeats 1 "
    "--workers 0 --device cpu --precision fp32 --no-tensorboard --triplet 1 --neck bnneck"
)


def synthesize_tiny_mars(root: Path) -> Path:
    """4 identities, 8 tracklets each, 2 identities to test on."""
    synthesize_mars(root, tracklets=8, distractors=3, junk=2, task=GAIT)
    return root


def synthesize_tiny_prid(root: Path) -> Path:
    """8 identities, ten splits of 4 / 4."""
    synthesize_prid2011(root, task=Gait(identities=8, frames=6))
    return root


def train(data: Path, runs: Path, words: str) -> int:
    """``specvid train reid`` with quick settings."""
    return cli.run(["train", "reid", "--data", str(data), "--runs", str(runs), *QUICK.split(), *words.split()])


def evaluate(words: str) -> int:
    """``specvid eval reid`` without extra processes."""
    return cli.run(["eval", "reid", *words.split(), "--device", "cpu", "--workers", "0"])
