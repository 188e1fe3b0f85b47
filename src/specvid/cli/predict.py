"""``specvid predict``."""

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.config import require_at_least, require_share
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.pipelines.segments.config import SegmentConfig, parse_raw
from specvid.text import path_on_one_line, printable_path

HELP = """\
specvid predict: name what happens in video files

  VIDEO [VIDEO ...]       files, and folders: those in them, at any depth; a folder of images is a video
  --run RUN               the folder of a trained run; --checkpoint last|best
  --model NAME --weights FILE|DEFAULT [--blocks "..."]
                          or a backbone, with weights that bring a classifier; --modality flow|rgb-diff
                          where it sees optical flow or differences of frames (a run says so itself)
  --model FOLDER          or what save_pretrained wrote; owner/name: on the Hugging Face Hub
  --model clip:FOLDER --classes "surfing, push-ups" [--prompt "a video of {}"]
                          classes in words, of a model with a text tower (docs/encoders.md)
  --labels FILE           names of the classes, a line each. Without it: those of the run or folder,
                          *labels*.txt beside the weights, the data set of the published weights
  --top 5                 how many classes to name
  --clips 10 --crops 1    views of each file; softmax is averaged over them
  --trust                 also a run or folder that names code of somebody else (mmaction2's configs)
  --frames 16 --stride 4  other clips than those of the network; --size, --resize in px
  --min-readable 0.9      share of the wanted frames that must decode; others stand in, with a warning
  --json                  one JSON object per file and line
  --device cpu|cuda --precision bf16 --workers 2

What happens when, in videos of any length, each decoded once:
  --window sliding --length 2s --every 1s     classes of each span (s: seconds, else frames)
  --merge [--enter 0.6 --leave 0.4]           neighbouring spans of one class as one; it begins where its
                          probability reaches --enter, and lasts while it is at least --leave
  --format table|json|csv|srt [--out FOLDER]  printed, or a file for each video; srt and --draw: with --merge
  --draw OUT.mp4          a copy of the video with the names in it (of several videos: a folder)
  --stdin WxH@FPS         in place of VIDEO: raw rgb24 frames that another program pipes in (docs/segments.md)

Of a network for clips of several classes, those that reach their thresholds get a *. A file that cannot be
read gets an error line of its own, the others go on; the exit code is then 1.

Example:
  specvid predict one.avi two.mp4 --run runs/first --top 3
  specvid predict film.mp4 --run runs/first --window sliding --length 2s --every 1s --merge --format srt
"""


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``specvid predict``."""

    videos: Positional[tuple[str, ...]] = ()
    """Video files, and folders of them or of images."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    input: InputConfig = field(default_factory=InputConfig)
    labels: str = ""
    """File with the names of the classes."""
    top: int = 5
    """How many classes to name."""
    clips: int | None = None
    """Clips per video; 10 if not given."""
    crops: Literal[1, 3, 5, 10] | None = None
    """Crops per clip; 1 if not given."""
    min_readable: float = 0.9
    """Share of the frames of a video's clips that must decode; the nearest ones stand in for the others."""
    segments: SegmentConfig = field(default_factory=SegmentConfig)
    format: Literal["table", "json", "csv", "srt"] = "table"
    """Of the text. Of whole videos: table or json."""
    json: bool = False
    """As --format json."""
    out: str = ""
    """Folder that gets a file for each video, with --window sliding."""
    draw: str = ""
    """Copy of the video with its segments drawn in; of several videos a folder."""
    stdin: str = ""
    """WxH@FPS: raw rgb24 frames from the standard input."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        require_share(self.min_readable)
        if self.json:
            object.__setattr__(self, "format", "json")
        if self.stdin:
            parse_raw(self.stdin)
            if self.videos or self.out or self.draw or self.segments.fps:
                raise ValueError(
                    f"stdin {self.stdin!r} takes the place of VIDEO, --out, --draw and --fps: leave them out."
                )
            if self.segments.window == "none":
                object.__setattr__(self, "segments", dataclasses.replace(self.segments, window="sliding"))
        if self.clips is not None:
            require_at_least(self, clips=1)
        if self.segments.window == "none":
            for name in ("out", "draw"):
                if getattr(self, name):
                    raise ValueError(f"{name} {getattr(self, name)!r} belongs to --window sliding: add it.")
            if self.format in ("csv", "srt"):
                raise ValueError(f"format {self.format!r} has times: add --window sliding --length 2s --merge.")
        elif self.clips is not None or (self.crops or 1) > 1:
            raise ValueError("clips and crops belong to whole videos: leave them out with --window sliding.")
        for name, wanted in (("draw", bool(self.draw)), ("format", self.format == "srt")):
            if wanted and not self.segments.merge:
                value = getattr(self, name)
                raise ValueError(f"{name} {value!r} shows one class after the other, and windows overlap: add --merge.")


def run(options: PredictOptions) -> int:
    """Predict.

    Args:
        options: of the command line.

    Returns:
        The exit code: 1 where a file could not be read.
    """
    if not options.videos and not options.stdin:
        raise ValueError("no VIDEO is given: name at least one file.")
    if not options.network.run and not options.network.model:
        raise ValueError(
            "run is not given: --run RUN must name the folder of a trained run, e.g. runs/first; "
            "or give --model NAME --weights FILE."
        )

    from specvid.pipelines.embed.inputs import videos_in
    from specvid.pipelines.engine.log import status
    from specvid.pipelines.networks.opening import open_network

    network = open_network(options.network, changes=options.input, classifier=True, labels=options.labels)
    if network.message:
        status(network.message)
    videos, notes = videos_in(options.videos)
    for note in notes:
        status(note)
    options = dataclasses.replace(options, videos=tuple(videos))
    if options.segments.window == "none":
        return _whole_videos(options, network)

    from specvid.pipelines.segments.classifier import ClipClassifier

    classifier = ClipClassifier.of(network, compute=options.compute, min_readable=options.min_readable)
    return _stream(options, classifier) if options.stdin else _segments(options, classifier)


def _whole_videos(options: PredictOptions, network: Any) -> int:
    from specvid.pipelines.action.predict import predict

    views: dict[str, Any] = {
        "top": options.top,
        "clips": 10 if options.clips is None else options.clips,
        "crops": options.crops or 1,
        "min_readable": options.min_readable,
    }
    failed = 0
    for prediction in predict(options.videos, network, **views, compute=options.compute):
        failed += bool(prediction.error)
        path = path_on_one_line(prediction.path)
        if options.format == "json":
            about = {**dataclasses.asdict(prediction), "path": printable_path(prediction.path)}
            about["classes"] = [(name, round(share, 6)) for name, share in prediction.classes]
            print(json.dumps(about, ensure_ascii=False), flush=True)
        elif prediction.error:
            print(f"{path}: error: {prediction.error}", flush=True)
        else:
            stars = set(prediction.decided)
            classes = "  ".join(f"{name} {share:.1%}{'*' * (name in stars)}" for name, share in prediction.classes)
            warning = f"  ({prediction.warning})" if prediction.warning else ""
            print(f"{path}: {classes}{warning}", flush=True)
    return 1 if failed else 0


def _segments(options: PredictOptions, classifier: Any) -> int:
    """Segments of files, printed or written as they come."""
    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.segments.drawing import Drawer
    from specvid.pipelines.segments.files import VideoEnd, predict_segments
    from specvid.pipelines.segments.progress import SegmentProgress
    from specvid.pipelines.segments.writing import SegmentWriter

    writer = SegmentWriter(options.format, echo, folder=options.out, videos=options.videos)
    drawer = Drawer(options.draw, options.videos, fps=options.segments.fps)
    failed = 0
    with SegmentProgress(status) as progress:
        found = predict_segments(
            options.videos,
            classifier,
            options.segments,
            top=options.top,
            workers=min(options.compute.workers, len(options.videos)),
            on_progress=progress,
        )
        for item in found:
            if not isinstance(item, VideoEnd):
                writer.add(*item)
                drawer.add(item[1])
                continue
            error = item.error or writer.close(item) or drawer.close(item.path)
            status(f"{path_on_one_line(item.path)}: {f'error: {error}' if error else item}")
            if error:
                failed += 1
                writer.fail(item.path, error)
                drawer.drop()
    return 1 if failed else 0


def _stream(options: PredictOptions, classifier: Any) -> int:
    """Segments of the frames on the standard input."""
    from specvid.pipelines.engine.log import echo
    from specvid.pipelines.segments.streaming import StreamingRecogniser, read_raw
    from specvid.pipelines.segments.writing import SegmentWriter

    width, height, fps = parse_raw(options.stdin)
    config = options.segments
    spans: dict[str, Any] = {"length": config.length, "every": config.every, "merge": config.merge}
    recogniser = StreamingRecogniser(
        classifier, fps=fps, **spans, enter=config.enter, leave=config.leave, top=options.top
    )
    writer = SegmentWriter(options.format, echo)
    for frame in read_raw(sys.stdin.buffer, height, width):
        for segment in recogniser.push(frame):
            writer.add("-", segment)
    for segment in recogniser.finish():
        writer.add("-", segment)
    return 0


PREDICT = Verb("predict", HELP, PredictOptions, run)
