"""Drawn data sets: real encoded files in the exact layouts of the real ones, with tasks that need long-range blocks."""

from specvid.datasets.synthetic.encode import write_video
from specvid.datasets.synthetic.ucf101 import DrawnSet, draw_ucf101

__all__ = ["DrawnSet", "draw_ucf101", "write_video"]
