"""The tool that passes damaged videos through every verb."""

from pathlib import Path

import numpy as np
import pytest

from specvid.datasets.synthetic import write_video
from specvid.tools.data.sweep import Outcome
from specvid.tools.faults.media import Passage, as_table, hold_against, pass_through

FILES = [Path(name) for name in ("sound.mp4", "cut.mp4", "junk.mp4")]
OUTCOMES = [
    Outcome(share=1.0),
    Outcome(share=0.8, error="is damaged: 6 of 30 frames cannot be decoded"),
    Outcome(share=0.0, error="is not a readable video"),
]


def test_what_does_not_fit_is_a_fault() -> None:
    right = [
        Passage("predict", {"sound.mp4", "cut.mp4"}, {"junk.mp4"}),
        Passage("eval action", {"sound.mp4", "cut.mp4"}, {"junk.mp4"}),
        Passage("data check"),
    ]
    hold_against(right, FILES, OUTCOMES)
    assert not any(passage.faults for passage in right)
    wrong = [Passage("predict", {"junk.mp4"}, {"sound.mp4"}), Passage("eval action", set(), {"cut.mp4"})]
    hold_against(wrong, FILES, OUTCOMES)
    assert wrong[0].faults == [
        "refused, though no frame of it is lost: sound.mp4",
        "read, though nothing of it decodes: junk.mp4",
        "neither read nor named: cut.mp4",
        "at odds with eval action: cut.mp4",
        "at odds with eval action: sound.mp4",
    ]
    assert as_table(wrong).splitlines()[-2].replace(" ", "") == "|predict|1|1|0s|5|"


@pytest.mark.slow
def test_all_verbs(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    files = [tmp_path / "videos" / path.name for path in FILES]
    for file in files[:2]:
        write_video(file, np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8), 25, codec="mpeg4")
    files[1].write_bytes(files[1].read_bytes()[:-100])  # an MP4 without the end of its index
    files[2].write_bytes(b"junk")
    (tmp_path / "whole.mp4").write_bytes(files[0].read_bytes())
    passages = pass_through(files, tmp_path / "whole.mp4", tmp_path)
    hold_against(passages, files, [OUTCOMES[0], OUTCOMES[2], OUTCOMES[2]])
    assert not [(passage.verb, passage.faults) for passage in passages if passage.faults]
    found = {passage.verb: (passage.read, passage.refused) for passage in passages if passage.read}
    assert found == dict.fromkeys(
        ("train action", "eval action", "predict", "embed"), ({"sound.mp4"}, {"cut.mp4", "junk.mp4"})
    )
