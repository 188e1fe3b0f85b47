"""The test clips to show blocks on: a sure hit, a mistake and an unsure hit; of re-ID one person twice."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch

from specvid.config import read_config
from specvid.datasets.clips.spec import ClipSpec
from specvid.errors import VideoError
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.data import clip_spec, make_views
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.networks.opening import OpenedNetwork
from specvid.pipelines.reid.data import make_chunks
from specvid.pipelines.reporting.affinity import ClipInput
from specvid.pipelines.reporting.data_part import DataPart
from specvid.pipelines.reporting.run_part import RunPart

Reader = Callable[[IsolatedCalls, str, str], ClipInput]

_CLIPS = 3
_TRIES = 20  # for a clip that can be read, where others are gone


def telling_clips(run: RunPart, opened: OpenedNetwork) -> list[ClipInput]:
    """Read the clips to show; where one cannot be read, the next of its kind stands in, and the report says so.

    Args:
        run: with its data and evaluations.
        opened: the network that is to see them.

    Returns:
        Of actions at most three clips, of re-ID two tracklets of one person; empty where none can be read.

    Raises:
        ValueError: the data are not where they were.
    """
    if run.data is None:
        raise ValueError("the data are not where the run was trained; --data DIR says where they lie now")
    is_reid = run.record.task == "reid"
    read = _tracklet_reader(run.data, opened) if is_reid else _clip_reader(run, run.data, opened)
    found: dict[str, ClipInput] = {}
    with IsolatedCalls(seconds=120) as isolated:
        for candidates in [_pairs(run, run.data)] if is_reid else _kinds(run, run.data):
            unreadable = []
            for some in islice(candidates, _TRIES):
                if found.keys() & some:
                    continue
                try:
                    found |= {name: read(isolated, name, title) for name, title in some.items()}
                    break
                except VideoError as error:
                    unreadable.append(str(error))
            if unreadable:
                more = f"; {len(unreadable) - 1} more" if unreadable[1:] else ""
                run.missing.append(f"clips for the blocks that cannot be read: {unreadable[0]}{more}")
    return list(found.values())


def _kinds(run: RunPart, data: DataPart) -> list[Iterator[dict[str, str]]]:
    """For each clip to show, the test clips that may be it, best first: each its name and title."""
    for part in run.islands.get("confusions", {}).values():
        clips, classes = part["clips"], part["classes"]
        known = {i for i, clip in enumerate(clips) if clip["n"] in data.clips and "e" not in clip}
        sure = sorted((i for i in known if clips[i]["t"] == clips[i]["p"]), key=lambda i: (-(clips[i]["c"] or 0), i))
        kinds = {"sure hit": sure, "mistake": part["mistakes"], "unsure hit": part["unsure"]}
        if known:
            return [
                iter([{clips[i]["n"]: f"{kind}: {_classes_of(clips[i], classes)}"} for i in numbers if i in known])
                for kind, numbers in kinds.items()
            ]
    return [iter([{name: name} for name in data.clips])] * _CLIPS  # one iterator: each goes on where the last ended


def _classes_of(clip: dict[str, Any], classes: Sequence[str]) -> str:
    taken = f" taken for {classes[clip['p']]}" if clip["p"] != clip["t"] else ""
    return f"{classes[clip['t']]}{taken}"


def _pairs(run: RunPart, data: DataPart) -> Iterator[dict[str, str]]:
    """Two tracklets of one person, by name and title: a query answered right and its first match, first of all."""
    tracklets = data.tracklets

    def titled(names: Sequence[str]) -> dict[str, str]:
        return {name: f"{tracklets[name].name}, camera {tracklets[name].camid}" for name in names}

    for part in run.islands.get("strips", {}).values():
        names = [own["n"] for own in part["tracklets"]]
        for query in reversed(part["queries"]):
            matches = [names[item] for item, _, kind in query["list"] if kind == 1]
            pair = [names[query["t"]], *matches[:1]]
            if len(pair) == 2 and all(name in tracklets for name in pair):
                yield titled(pair)
    people: dict[Any, list[str]] = {}
    for name, one in tracklets.items():
        if one.pid not in (0, -1):  # MARS's distractors and junk, which are many people
            people.setdefault(one.pid, []).append(name)
    several = [names[:2] for names in people.values() if len(names) > 1]
    yield from map(titled, several or [list(tracklets)[:1]])


def _clip_reader(run: RunPart, data: DataPart, opened: OpenedNetwork) -> Reader:
    spec = clip_spec(opened.model.input, read_config(ActionConfig, run.record.path / "config.json").clips)

    def read(isolated: IsolatedCalls, name: str, title: str) -> ClipInput:
        video = isolated(str(data.clips[name].path), _read_clip, data.clips[name], spec)
        return ClipInput(title, torch.from_numpy(video), None, spec.mean, spec.std, name)

    return read


def _tracklet_reader(data: DataPart, opened: OpenedNetwork) -> Reader:
    spec = ClipSpec.of(opened.model.input)

    def read(isolated: IsolatedCalls, name: str, title: str) -> ClipInput:
        one = data.tracklets[name]
        video, mask = map(torch.from_numpy, isolated(str(one.path(0)), _read_tracklet, one, spec))
        return ClipInput(title, video, mask, spec.mean, spec.std)

    return read


def _read_clip(record: Any, spec: ClipSpec) -> Any:
    """One view of a clip, as evaluation sees it."""
    item = make_views([record], spec, clips=1, crops=1)[0]
    if item["error"]:
        raise VideoError(record.path, item["error"])
    return item["video"][0].numpy()


def _read_tracklet(tracklet: Any, spec: ClipSpec) -> tuple[Any, Any]:
    """Evenly spaced frames of a tracklet."""
    item = make_chunks([tracklet], spec, sampling="even")[0]
    if not item["mask"].any():
        raise VideoError(tracklet.path(0), item["error"])
    return item["video"].numpy(), item["mask"].numpy()
