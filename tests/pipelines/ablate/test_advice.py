"""How errors of a training are told to who runs an ablation."""

import pytest

from specvid.pipelines.ablate.advice import as_settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("give --val-fraction 0.2, or data", "give --set val-fraction=0.2, or data"),
        ("Give --weights FILE, or", "Give --set weights=FILE, or"),
        ("data is not given: --data DIR must", "data is not given: --set data=DIR must"),
        ("or leave out --freeze", "or leave out freeze"),
        ("or another --recipe.", "or another --recipes."),
        ("Give another --runs, or see --help.", "Give another --runs, or see --help."),
        ("`specvid train action --epochs 3` does", "`specvid train action --epochs 3` does"),
        ("trust it with --trust", "trust it with --trust"),
    ],
)
def test_options_of_a_training_are_settings_of_the_grid(text: str, says: str) -> None:
    assert as_settings(text) == says
