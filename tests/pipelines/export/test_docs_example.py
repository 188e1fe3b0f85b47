"""The program in docs/export.md as it stands: the embeddings of `specvid embed`, by ONNX Runtime and OpenCV alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import specvid
from specvid.datasets.synthetic.encode import write_video
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.launch import embed
from specvid.pipelines.export.job import export_model
from specvid.pipelines.networks.config import NetworkConfig

PAGE = Path(__file__).parents[3] / "docs" / "export.md"


@pytest.mark.parametrize(("length", "resize"), [(53, 72), (9, (70, 84))])
def test_the_program_gives_what_specvid_embeds(length: int, resize: object, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pytest.importorskip("onnxruntime", reason="pip install 'specvid[export]'")
    torch.manual_seed(0)
    model = specvid.create_model(
        "r3d_tiny", blocks="snl@layer2.-1", input={"frames": 8, "stride": 2, "size": (64, 56), "resize": resize}
    ).eval()
    model.save_pretrained(tmp_path / "model")
    noise = np.random.default_rng(0).integers(0, 255, (length, 15, 11, 3), np.uint8)
    video = tmp_path / "some.mp4"
    write_video(video, noise.repeat(8, 1).repeat(8, 2), fps=25)
    embed(
        [str(video)],
        tmp_path / "out",
        EmbedConfig(network=NetworkConfig(model=str(tmp_path / "model"))),
        echo=lambda text: None,
    )
    (row,) = pq.read_table(tmp_path / "out" / "embeddings").to_pylist()
    export_model(model, tmp_path / "it.onnx", feature="embedding", with_preprocessing=True)
    (program,) = re.findall(r"```python\n(import json\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "specvid" not in re.sub(r'\["specvid"\]', "", program) and "torch" not in program
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "example.py", "it.onnx", str(video)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    theirs, ours = np.array(json.loads(run.stdout)), np.array(row["embedding"])
    assert np.abs(theirs - ours).max() < 1e-4 * np.abs(ours).max()
