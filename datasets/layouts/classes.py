"""What is odd about the classes of an action data set."""

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord
from specvid.text import counted, path_on_one_line

_NAMED = 5


def class_warnings(data: ActionSet) -> list[str]:
    """Classes that cannot be learned.

    Args:
        data: a split, as it is trained and tested on.

    Returns:
        A sentence where only one class is trained on, and one where some are tested on that are not.
    """
    trained = _labels(data.train)
    unknown = sorted(_labels([*data.validation, *data.test]) - trained)
    warnings = []
    if len(trained) == 1 and not data.is_multilabel:
        name = path_on_one_line(data.classes[min(trained)])
        warnings.append(
            f"all clips to train on are of one class, {name}: whatever is shown is then called so, and a score says "
            "nothing. Give clips of another class"
        )
    if unknown:
        named = ", ".join(path_on_one_line(data.classes[label]) for label in unknown[:_NAMED])
        more = " ..." if len(unknown) > _NAMED else ""
        warnings.append(
            f"{counted(len(unknown), 'class')} to validate or to test on without a clip to train on, which cannot be "
            f"learned: {named}{more}"
        )
    return warnings


def _labels(records: list[VideoRecord]) -> set[int]:
    return {label for record in records for label in record.labels or (record.label,) if label >= 0}
