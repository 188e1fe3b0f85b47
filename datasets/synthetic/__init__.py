"""Synthetic data sets: encoded files in the exact layouts of the real ones, with tasks that need long-range blocks."""

from specvid.datasets.synthetic import actions, reid, relation  # noqa: F401 (they register)
from specvid.datasets.synthetic.encode import write_video
from specvid.datasets.synthetic.folder import SYNTHESIZERS, SyntheticSet
from specvid.datasets.synthetic.ucf101 import synthesize_ucf101

__all__ = ["SYNTHESIZERS", "SyntheticSet", "synthesize_ucf101", "write_video"]
