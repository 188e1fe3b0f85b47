"""What the distributed archives of each data set bring, and where it goes in the layout that specvid reads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """A folder of a data set.

    Attributes:
        target: where it goes, below the root.
        holds: patterns of files that must be in the folder, by which it is known.
        archives: usual names of what brings it, as patterns; for parts, of all of them.
        source: where it comes from.
        inside: its name in the archive, where another folder may hold such files too; "" is any name.
        is_lists: only the files of ``holds`` are taken; they may also lie outside of any archive.
        is_parts: the archives are parts of one.
        is_nested: the archive holds archives, one for each class.
    """

    target: str
    holds: tuple[str, ...]
    archives: tuple[str, ...]
    source: str
    inside: str = ""
    is_lists: bool = False
    is_parts: bool = False
    is_nested: bool = False


_UCF = "https://www.crcv.ucf.edu/data/UCF101/"
_MARS = "http://zheng-lab.cecs.anu.edu.au/Project/project_mars.html"
_MARS_INFO = "https://github.com/liangzheng06/MARS-evaluation"
_ILIDS = "https://xiatian-zhu.github.io/downloads_qmul_iLIDS-VID_ReID_dataset.html"
_PRID = "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/PRID11"

_HMDB = "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/"
_20BN = "https://www.qualcomm.com/developer/artificial-intelligence/datasets"
_DIVING = "http://www.svcl.ucsd.edu/projects/resound/dataset.html"

_UCF_LISTS = ("classInd.txt", *(f"{side}list0{split}.txt" for side in ("train", "test") for split in (1, 2, 3)))


def _frames_of_20bn(name: str) -> tuple[Component, ...]:
    """The lists, which come as files of their own, and the frames, as a packed tar file in parts."""
    lists = tuple(f"{name}-{part}.csv" for part in ("labels", "train", "validation"))
    return (
        Component("annotations", lists, (lists[0],), _20BN, is_lists=True),
        Component(f"20bn-{name}", ("*/*.jpg",), (f"20bn-{name}-??",), _20BN, is_parts=True),
    )


COMPONENTS: dict[str, tuple[Component, ...]] = {
    "ucf101": (
        Component("ucfTrainTestlist", _UCF_LISTS, ("UCF101TrainTestSplits-RecognitionTask.zip",), _UCF, is_lists=True),
        Component("videos", ("*/v_*_g*_c*.*",), ("UCF101.rar",), _UCF),
    ),
    "hmdb51": (
        Component(
            "testTrainMulti_7030_splits",
            tuple(f"*_test_split{split}.txt" for split in (1, 2, 3)),
            ("test_train_splits.rar",),
            _HMDB,
            is_lists=True,
        ),
        Component("hmdb51_org", ("*/*.avi",), ("hmdb51_org.rar",), _HMDB, is_nested=True),
    ),
    "something-v1": _frames_of_20bn("something-something-v1"),
    "jester": _frames_of_20bn("jester-v1"),
    "something-v2": (
        Component(
            "labels",
            ("labels.json", "train.json", "validation.json"),
            ("20bn-something-something-download-package-labels.zip",),
            _20BN,
            is_lists=True,
        ),
        Component(
            "20bn-something-something-v2",
            ("*.webm",),
            ("20bn-something-something-v2-??", "20bn-something-something-v2-??.zip"),
            _20BN,
            is_parts=True,
        ),
    ),
    "diving48": (
        Component(
            "annotations",
            ("Diving48_vocab.json", "Diving48_*train.json", "Diving48_*test.json"),
            ("Diving48_vocab.json",),
            _DIVING,
            is_lists=True,
        ),
        Component("rgb", ("*.mp4",), ("Diving48_rgb.tar.gz",), _DIVING),
    ),
    "mars": (
        Component("bbox_train", ("*/*.jpg",), ("bbox_train.zip",), _MARS, "bbox_train"),
        Component("bbox_test", ("*/*.jpg",), ("bbox_test.zip",), _MARS, "bbox_test"),
        Component("info", ("tracks_test_info.mat",), ("MARS-evaluation*.zip", "info.zip"), _MARS_INFO, "info"),
    ),
    "ilids-vid": (
        Component("i-LIDS-VID", ("sequences/cam1",), ("iLIDS-VID.tar", "iLIDS-VID.*"), _ILIDS, "i-LIDS-VID"),
        Component(
            "train-test people splits",
            ("train_test_splits_ilidsvid.mat",),
            ("iLIDS-VID.tar", "iLIDS-VID.*"),
            _ILIDS,
            "train-test people splits",
        ),
    ),
    "prid2011": (Component("prid_2011/multi_shot", ("cam_a",), ("prid_2011.*", "prid2011.*"), _PRID, "multi_shot"),),
}
