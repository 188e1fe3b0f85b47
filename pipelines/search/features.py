"""Re-ID features as a folder of embeddings, so that they are searched like any other."""

from pathlib import Path

import numpy as np

from specvid.eval.reid.files import load_features
from specvid.files import write_json
from specvid.pipelines.embed.folder import Folder


def feature_folder(file: Path, place: Path) -> Folder:
    """Write the features of a file as a folder of embeddings.

    Args:
        file: of ``eval reid``, or of anybody who writes such files (`specvid.eval.reid.files`).
        place: an empty folder.

    Returns:
        The folder: a row a tracklet, in the gallery or a query. ``id`` is its name (or its number, where there are no
        names); ``identity``, ``camera``, ``is_query`` and ``in_gallery`` are columns.

    Raises:
        ValueError: the file is no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = load_features(file)
    index = np.full(len(features.query), -1) if features.query_index is None else np.asarray(features.query_index)
    outside = np.flatnonzero(index < 0)  # queries with a row of their own
    in_gallery = np.arange(len(features.gallery) + len(outside)) < len(features.gallery)
    is_query = ~in_gallery
    is_query[index[index >= 0]] = True

    def joined(gallery: np.ndarray, query: np.ndarray) -> list[object]:
        return [*np.asarray(gallery).tolist(), *np.asarray(query)[outside].tolist()]

    if features.gallery_names is None or features.query_names is None:
        names = [str(number) for number in range(len(in_gallery))]
    else:
        names = [str(name) for name in joined(features.gallery_names, features.query_names)]
    matrix = np.concatenate([features.gallery, features.query[outside]]).astype(np.float32)
    none = pa.nulls(len(names), pa.float64())
    columns = {
        "id": pa.array(names, pa.string()),
        "path": pa.array(names, pa.string()),
        "start_s": none,
        "end_s": none,
        "first_frame": none.cast(pa.int64()),
        "last_frame": none.cast(pa.int64()),
        "identity": pa.array(joined(features.gallery_ids, features.query_ids)),
        "camera": pa.array(joined(features.gallery_cams, features.query_cams)),
        "is_query": pa.array(is_query),
        "in_gallery": pa.array(in_gallery),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1]),
    }
    folder = Folder(place)
    folder.embeddings.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder.part(0))
    write_json(
        folder.metadata_file, {"config": {}, "network": {}, "inputs": len(names), "shards": 1, "features": str(file)}
    )
    return folder
