"""What ``specvid ablate`` says of words that it cannot take."""

import pytest

from specvid import cli


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--blocks"], "--blocks has no value (a variable of the shell that is not set?)"),
        (["--blocks", "--places", "conv3.-1"], "--blocks has no value"),
        (["--blocks", ""], "blocks has an empty text (a variable of the shell that is not set?)"),
        (["--blocks", "--seeds", "0"], "--blocks has no value"),
        (["--set", "lr=1", "--set", "epochs=2"], "--set is given twice: the first one would be lost. Give all its"),
        (["--seeds=0", "--seeds", "1"], "--seeds is given twice"),
        (["--seeds", "0,1"], "seeds '0,1' must be whole numbers with spaces between them: --seeds 0 1."),
        (["--seeds", "0-4"], "seeds '0-4' must be whole numbers with spaces between them: --seeds 0 1 2 3 4."),
        (["--seeds", "x"], "seeds 'x' must be a whole number. See"),
        (
            ["--seeds", "0,", "1,", "2"],
            "seeds '0, 1, 2' must be whole numbers with spaces between them: --seeds 0 1 2.",
        ),
        (["--seeds", "0,1", "2,3"], "whole numbers with spaces between them: --seeds 0 1 2 3."),
        (["--seeds", "[0,1]"], "whole numbers with spaces between them: --seeds 0 1."),
        (["--seeds", "0.5,1"], "seeds '0.5' must be a whole number."),
        (["--jobs", "x"], "jobs 'x' must be a whole number."),
        (["--jobs", "-1"], "jobs -1 must be at least 1."),
        (["--metrics", "map"], "metric 'map' is unknown. Did you mean 'mAP'?"),
        (["--set", "epochs=one"], "epochs 'one' must be a whole number. See `specvid train reid --help`."),
        (["--set", "lr=fast"], "lr 'fast' must be a number."),
        (["--set", "gate-lr=fast"], "gate-lr 'fast' must be a number."),
        (
            ["--set", "epochs=1"],
            "lie inside the 1 epochs. That --milestones comes from recipe 'baseline': give --milestones of your own,",
        ),
        (["--set", "model=osnet_x0_25", "--blocks", "snl"], "has no place: write snl@conv4.-1"),
        (["--data", "DIR"], "It is a setting of the trainings: give it as --set data=DIR."),
        (["--weight-decay=0.1"], "give it as --set weight-decay=0.1."),
        (["--epochs"], "give it as --set epochs=VALUE."),
        (["--seed", "3"], "option '--seed' of specvid ablate is unknown. Did you mean '--seeds'"),
    ],
)
def test_mistakes(words: list[str], why: str, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ablate", "--table-only", "--runs", str(tmp_path / "runs"), *words]) == 2
    error = capsys.readouterr().err
    assert why in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
