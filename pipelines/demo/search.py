"""The demo's last part: the clips that the trained network never saw become embeddings, and one is searched for."""

from pathlib import Path

from specvid.datasets.layouts.ucf101 import read_ucf101
from specvid.pipelines.embed.config import EmbedConfig, JobConfig, WindowConfig
from specvid.pipelines.embed.evaluate import evaluate
from specvid.pipelines.embed.launch import embed
from specvid.pipelines.engine.log import console, echo, status
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.search.query import search
from specvid.pipelines.search.report import as_text

RIGHT_AT_LEAST = 0.90  # share of nearest neighbours with the class of the clip


def demo_search(root: Path, run: str, *, answers: int = 5) -> bool:
    """Embed the test clips, score the embeddings, and search for the first clip.

    Prints how often the nearest clip of another group has the class of the clip, and the table of the clips most like
    the first one. Embeddings that are there are not made again, unless the run was trained again.

    Args:
        root: Folder of the clips (``ucf101``) and of the run.
        run: Name of the run that embeds.
        answers: Rows of the table.

    Returns:
        Whether the share of right nearest neighbours is at least `RIGHT_AT_LEAST`.
    """
    clips = [record.path for record in read_ucf101(root / "ucf101").test]
    out = root / f"embeddings-{run}"
    console.print(f"embedding {len(clips)} clips: {out}")
    config = EmbedConfig(
        network=NetworkConfig(run=str(root / run)),
        windows=WindowConfig(window="uniform"),
        job=JobConfig(overwrite=True),  # of a run that was trained again
    )
    embed(clips, out, config, echo=status)
    scored, answer = evaluate(out), search(out, clips[0], k=answers)
    echo(
        f"\nEmbeddings of {scored.rows} unseen clips by {run}: the nearest one of another group has the same class for "
        f"{100 * scored.score.accuracy:.2f} %.\nMost like {clips[0].name}:\n\n{as_text(answer)}"
    )
    return scored.score.accuracy >= RIGHT_AT_LEAST and not scored.failed
