"""``specvid export``."""

import dataclasses
from dataclasses import dataclass, field

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.pipelines.export.config import ExportConfig

HELP = """\
specvid export: a model as one file that other programs run, compared with the original

  RUN                        a trained run; or --model NAME [--weights FILE] [--blocks "..."]
                             [--modality flow|rgb-diff] (optical flow, differences of frames)
  --to onnx|torch-export     ONNX (onnxruntime, TensorRT, ...), or a program of torch.export (.pt2)
  --out FILE                 RUN.onnx or RUN.pt2 here, if not given
  --feature logits|embedding what it gives; logits where there is a classifier
  --frames T --height H --width W   the clip it is captured with; the model's own if not given
  --mask                     a second input marks the real frames
  --with-preprocessing       takes frames, uint8 (B, T, H, W, C), cropped; the file normalises them
  --images --l2              of an image network, for trackers: single images (B, 3, H, W) go in, and
                             embeddings of unit length come out
  --batch 8 --fix-size       always this batch, always this height and width
  --half                     float16 inside
  --checkpoint last|best     which epoch of the run
  --trust                    also a run that names code of somebody else (mmaction2's configs)
  --device cpu|cuda          where it is captured and compared

Batch, clip length, height and width may vary in the file wherever the model allows it; the output
says which may, and why others may not. The file gets its name only when it gives the model's numbers,
at the size it was captured with and at another size of every axis that may vary; otherwise the exit
code is 2 and there is no file. Needs `pip install 'specvid[export]'` for ONNX. More: docs/export.md.

Example:
  specvid export runs/first --to onnx --out first.onnx
  specvid export runs/reid --images --l2 --feature embedding --out reid.onnx
  specvid export --model r3d_tiny --blocks "snl@layer2.-1" --classes 5 --to torch-export
"""


@dataclass(frozen=True)
class ExportOptions:
    """Options of ``specvid export``."""

    folder: Positional[str] = ""
    """Folder of a trained run, as --run."""
    config: ExportConfig = field(default_factory=ExportConfig)


def run(options: ExportOptions) -> int:
    """Export; returns the exit code."""
    config = options.config
    if options.folder:
        if config.network.run:
            raise ValueError(
                f"run {options.folder!r} is given twice, with --run {config.network.run!r}: leave one out."
            )
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, run=options.folder))

    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.export.job import export

    echo(export(config, echo=status).text())
    return 0


STOPPED = "no file was written; the same command starts again."
EXPORT = Verb("export", HELP, ExportOptions, run, stopped=STOPPED)
