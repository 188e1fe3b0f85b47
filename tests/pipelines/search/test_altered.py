"""Folders of embeddings and indexes that were altered: one line each, or the right answer; never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch  # noqa: F401  # before FAISS
from synthetic_embeddings import write_embeddings

from specvid import cli
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.build import build_index
from specvid.pipelines.search.checksums import checksums

ROWS, DIM = 700, 8
Alter = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hnsw/ and ivfpq/, two shards each."""
    root = tmp_path_factory.mktemp("sound")
    vectors = np.random.default_rng(0).standard_normal((ROWS, DIM))
    for kind in ("hnsw", "ivfpq"):
        write_embeddings(root / kind, vectors, shard_size=400)
        build_index(root / kind, kind, recall=0.5)
    return root


def edit(name: str, **changes: Any) -> Alter:
    """Change entries of a JSON file; None takes one out."""

    def alter(folder: Path) -> None:
        content = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return alter


def write(name: str, data: bytes) -> Alter:
    return lambda folder: (folder / name).write_bytes(data) and None


def cut(name: str, share: float) -> Alter:
    def alter(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(share * len(data))])

    return alter


def flip(name: str, share: float) -> Alter:
    def alter(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int(share * len(data))] ^= 0x41
        (folder / name).write_bytes(data)

    return alter


def forge(make: Callable[[Any], Any], name: str = "flat.faiss") -> Alter:
    """Another index in the place of one, with its right checksum."""

    def alter(folder: Path) -> None:
        import faiss

        path = folder / "index" / name
        faiss.write_index(make(faiss), str(path))
        files = {file.name: checksums(file) for file in path.parent.glob("*.faiss")}
        edit("index/index.json", files=files)(folder)

    return alter


def flat(faiss: Any, rows: int = ROWS, dim: int = DIM, *, l2: bool = False, nan: bool = False) -> Any:
    index = (faiss.IndexFlatL2 if l2 else faiss.IndexFlatIP)(dim)
    vectors = np.random.default_rng(1).standard_normal((rows, dim)).astype(np.float32)
    if nan:
        vectors[5:400] = np.nan
    index.add(vectors)
    return index


def nan_rows(folder: Path) -> None:
    part = folder / "embeddings/part-000000.parquet"
    table = pq.read_table(part)
    values = table["embedding"].combine_chunks().flatten().to_numpy().copy()
    values[80] = np.nan
    column = type(table["embedding"].combine_chunks()).from_arrays(values, DIM)
    place = table.schema.get_field_index("embedding")
    pq.write_table(table.set_column(place, table.schema.field(place), column), part)
    shutil.rmtree(folder / "index")


def without_column(folder: Path) -> None:
    part = folder / "embeddings/part-000000.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["embedding"]), part)


def unlink(name: str) -> Alter:
    return lambda folder: (folder / name).unlink()


def shard_flipped(folder: Path) -> None:
    flip("embeddings/part-000000.parquet", 0.5)(folder)
    shutil.rmtree(folder / "index")  # which has vectors of its own, and would answer rightly


def forge_text(folder: Path) -> None:
    (folder / "index/flat.faiss").write_bytes(b"IxFI" + b"\x41" * 99)
    files = {file.name: checksums(file) for file in (folder / "index").glob("*.faiss")}
    edit("index/index.json", files=files)(folder)


ALTERED: dict[str, Alter] = {
    "index.json empty": write("index/index.json", b" "),
    "index.json list": write("index/index.json", b"[]"),
    "index.json deep": write("index/index.json", b'{"a":' * 100_000),
    "index.json bytes": write("index/index.json", b"\xff\xfe\x00"),
    "index.json digits": write("index/index.json", b'{"rows": ' + b"9" * 5000 + b"}"),
    "no kind": edit("index/index.json", kind=None),
    "other kind": edit("index/index.json", kind="../hnsw"),
    "kind is a list": edit("index/index.json", kind=["hnsw"]),
    "no metric": edit("index/index.json", metric=None),
    "other metric": edit("index/index.json", metric="l2"),
    "no files": edit("index/index.json", files=None),
    "files is a list": edit("index/index.json", files=[1]),
    "no parts": edit("index/index.json", parts=None),
    "no search": edit("index/index.json", search=None),
    "search of text": edit("index/index.json", search={"efSearch": "many"}),
    "search of too much": edit("index/index.json", search={"efSearch": 10**30}),
    "flat gone": unlink("index/flat.faiss"),
    "graph gone": unlink("index/hnsw.faiss"),
    "flat empty": write("index/flat.faiss", b"\0"),
    "flat cut": cut("index/flat.faiss", 0.5),
    "flat flipped at its head": flip("index/flat.faiss", 0.0),
    "flat flipped": flip("index/flat.faiss", 0.7),
    "graph cut": cut("index/hnsw.faiss", 0.6),
    "graph flipped": flip("index/hnsw.faiss", 0.5),
    "L2, forged": forge(lambda faiss: flat(faiss, l2=True)),
    "fewer rows, forged": forge(lambda faiss: flat(faiss, rows=600)),
    "other length, forged": forge(lambda faiss: flat(faiss, dim=4)),
    "no vectors, forged": forge(lambda faiss: flat(faiss, rows=0)),
    "flat for graph, forged": forge(flat, "hnsw.faiss"),
    "graph for flat, forged": forge(lambda faiss: faiss.IndexHNSWFlat(DIM, 4)),
    "text for flat, forged": forge_text,
    "shard cut": cut("embeddings/part-000000.parquet", 0.5),
    "shard is text": write("embeddings/part-000001.parquet", b"hello"),
    "shard flipped": shard_flipped,
    "shard without vectors": without_column,
    "shard gone": unlink("embeddings/part-000001.parquet"),
    "NaN in a shard": nan_rows,
    "embed.json empty": write("embed.json", b"{}"),
    "embed.json shards": edit("embed.json", shards=10**15),
    "embed.json shards text": edit("embed.json", shards="two"),
    "embed.json config": edit("embed.json", config=3),
}


@pytest.mark.parametrize("name", ALTERED)
def test_one_line_for_each(name: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "emb"
    shutil.copytree(sound / "hnsw", folder)
    assert cli.run(["search", "query", str(folder), "n600", "-k", "5"]) == 0
    capsys.readouterr()
    ALTERED[name](folder)
    assert cli.run(["search", "query", str(folder), "n600", "-k", "5"]) == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1 and message.startswith("specvid: "), message
    assert "emb" in message


def test_forged_vectors_that_are_no_numbers(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Filtered, the search compares every row of the index; through the graph, what the graph finds."""
    for words in (["--where", "end_s > 0"], ["-k", "600"]):
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(sound / "hnsw", tmp_path / "emb")
        forge(lambda faiss: flat(faiss, nan=True))(tmp_path / "emb")
        assert cli.run(["search", "query", str(tmp_path / "emb"), "n600", *words]) == 2
        assert "its vectors are not finite" in capsys.readouterr().err


def test_lists_of_codes_too(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for alter in (flip("index/ivfpq.faiss", 0.5), edit("index/index.json", search={"nprobe": 1, "refine": 0})):
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(sound / "ivfpq", tmp_path / "emb")
        assert cli.run(["search", "query", str(tmp_path / "emb"), "n600"]) == 0
        alter(tmp_path / "emb")
        capsys.readouterr()
        assert cli.run(["search", "query", str(tmp_path / "emb"), "n600"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_index_is_built_of_what_is_no_number(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / "hnsw", tmp_path / "emb")
    nan_rows(tmp_path / "emb")
    with pytest.raises(ValueError, match=r"the embedding of row 10 is not finite"):
        build_index(tmp_path / "emb", "flat")
    assert len(Rows(Folder(tmp_path / "emb"))) == ROWS
