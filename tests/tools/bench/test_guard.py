"""`specvid bench all`: ratios beside recorded ones."""

import math

import pytest

from specvid.cli import run
from specvid.tools.bench import guard
from specvid.tools.bench.guard import as_text, compare, read_records


def test_what_falls_by_more_than_a_tenth_is_marked() -> None:
    rows = compare({"a": 0.91, "b": 0.89, "new": 2.0}, {"a": (1.0,), "b": (1.0,), "gone": (3.0,)})
    assert [row.fell for row in rows] == [False, True, False, False]
    assert [row.recorded for row in rows[:3]] == [1.0, 1.0, None]
    assert rows[3].name == "gone" and math.isnan(rows[3].now)
    assert [line.rstrip() for line in as_text(rows).splitlines()] == [
        "larger is better   now  recorded  in its runs",
        "a                 0.91      1.00",
        "b                 0.89      1.00               SLOWER",
        "new               2.00         -",
        "gone                 -      3.00",
    ]


def test_what_a_recorded_run_had_is_not_marked() -> None:
    """The same code gave it once: noise."""
    rows = compare({"a": 0.8, "b": 0.69, "c": 0.97}, dict.fromkeys("abc", (1.0, 0.7, 1.1)))
    assert [row.fell for row in rows] == [False, True, False]
    assert [row.recorded for row in rows] == [1.0, 1.0, 1.0]
    assert "0.70 to 1.10" in as_text(rows)


def test_the_verb_compares_and_writes(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 1.0 if quick else 2.0})
    file = tmp_path / "ratios.json"
    assert run(["bench", "all", "--quick", "--out", str(file)]) == 0
    assert run(["bench", "all", "--out", str(file)]) == 0
    assert [read_records(file, sizes)[0].ratios for sizes in ("quick", "full")] == [{"a": (1.0,)}, {"a": (2.0,)}]
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 0.5})
    assert run(["bench", "all", "--quick", "--against", str(file)]) == 1
    assert "SLOWER" in capsys.readouterr().out
    entry = '"machine": "m", "instructions": "AVX2"'
    for content in (
        "[]",
        '{"name": "of another program"}',
        '{"quick": {"ratios": {}}}',
        '{"quick": {"a": 1}}',
        '{"quick": [{"ratios": {"a": 1}}]}',
        '{"full": [{"machine": 1}]}',
        *(
            f'{{"quick": [{{{entry}, "ratios": {{"a": [{ratio}]}}}}]}}'
            for ratio in ('"1"', "true", "-3", "0", "NaN", "")
        ),
        *(f'{{"quick": [{{{entry}, "ratios": {{"a": {runs}}}}}]}}' for runs in ("1", '"1"', '{"1": 1}', "null")),
        f'{{"quick": [{{{entry}, "ratios": {{"a": [{"1" * 401}]}}}}]}}',
        *(
            f'{{"quick": [{{"machine": {name}, "instructions": "AVX2", "ratios": {{}}}}]}}'
            for name in ("null", '"a\\nb"')
        ),
        f'{{"quick": [{{{entry}, "ratios": {{}}}}, {{{entry}, "ratios": {{}}}}]}}',
    ):
        file.write_text(content)
        for option in ("--against", "--out"):
            assert run(["bench", "all", "--quick", option, str(file)]) == 2
            assert "no file of recorded ratios" in capsys.readouterr().err


def test_a_processor_is_compared_with_its_like(tmp_path, monkeypatch, capsys) -> None:
    """Each kind has its own record in one file, and one that has none is told so, not marked."""
    file = tmp_path / "ratios.json"
    for machine, kind, ratio in (("one", "AVX2", 1.0), ("old", "AVX512", 3.0), ("one", "AVX512", 2.0)):
        monkeypatch.setattr(guard, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(guard, "instructions", lambda kind=kind: kind)
        monkeypatch.setattr(guard, "measure", lambda *, quick, status, ratio=ratio: {"a": ratio})
        run(["bench", "all", "--quick", "--out", str(file), "--against", str(guard.RECORDED)])
    assert [(one.machine, one.instructions, one.ratios) for one in read_records(file, "quick")] == [
        ("one", "AVX2", {"a": (1.0,)}),
        ("one", "AVX512", {"a": (2.0,)}),
    ]
    assert "in place of old (AVX512)" in capsys.readouterr().err
    capsys.readouterr()
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 0.95})
    for kind, code, line in (
        ("AVX2", 0, "recorded: "),
        ("AVX512", 1, "recorded: "),
        ("SVE256", 0, "none recorded with SVE256"),
    ):
        monkeypatch.setattr(guard, "instructions", lambda kind=kind: kind)
        assert run(["bench", "all", "--quick", "--against", str(file)]) == code
        assert line in capsys.readouterr().out


def test_a_machine_keeps_several_runs(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "ratios.json"
    for number in range(1, guard.RUNS + 3):
        monkeypatch.setattr(
            guard, "measure", lambda *, quick, status, n=number: {"a": n} | ({"old": 1.0} if n == 1 else {})
        )
        run(["bench", "all", "--quick", "--out", str(file), "--against", str(guard.RECORDED)])
    (record,) = read_records(file, "quick")
    assert record.ratios == {"a": (3.0, 4.0, 5.0, 6.0, 7.0)}
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 4.0})
    assert run(["bench", "all", "--quick", "--against", str(file)]) == 0
    assert "4.00      5.00  3.00 to 7.00" in capsys.readouterr().out


def test_what_fell_is_not_added_to_the_runs(tmp_path, monkeypatch, capsys) -> None:
    """Else it would be marked once and then be the rule."""
    file = tmp_path / "ratios.json"
    for ratio, code in ((1.0, 0), (0.5, 1), (0.5, 1), (0.95, 0)):
        monkeypatch.setattr(guard, "measure", lambda *, quick, status, ratio=ratio: {"a": ratio})
        against = file if file.exists() else guard.RECORDED
        assert run(["bench", "all", "--quick", "--out", str(file), "--against", str(against)]) == code
    assert read_records(file, "quick")[0].ratios == {"a": (1.0, 0.95)}
    assert capsys.readouterr().err.count("not added, because it fell below the runs there (--accept adds it): a") == 2


def test_what_fell_is_added_where_that_is_accepted(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "ratios.json"
    for ratio, code in ((1.0, 0), (0.5, 1), (0.5, 0)):
        monkeypatch.setattr(guard, "measure", lambda *, quick, status, ratio=ratio: {"a": ratio})
        against = file if file.exists() else guard.RECORDED
        assert run(["bench", "all", "--quick", "--out", str(file), "--accept", "--against", str(against)]) == code
    assert read_records(file, "quick")[0].ratios == {"a": (1.0, 0.5, 0.5)}
    assert "not added" not in capsys.readouterr().err
    assert run(["bench", "all", "--quick", "--accept"]) == 2
    assert "--accept is of what --out adds: give --out FILE." in capsys.readouterr().err


def test_what_others_wrote_in_the_meantime_stays(tmp_path, monkeypatch) -> None:
    file = tmp_path / "ratios.json"

    def measure(ratio):
        monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": ratio})
        run(["bench", "all", "--quick", "--out", str(file), "--against", str(guard.RECORDED)])

    def slowly(*, quick, status):
        measure(1.5)
        return {"a": 2.0}

    measure(1.0)
    monkeypatch.setattr(guard, "measure", slowly)
    run(["bench", "all", "--quick", "--out", str(file), "--against", str(guard.RECORDED)])
    assert read_records(file, "quick")[0].ratios == {"a": (1.0, 1.5, 2.0)}


def test_small_ratios_stay_what_they_are(tmp_path, monkeypatch) -> None:
    file = tmp_path / "ratios.json"
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 0.00041234})
    run(["bench", "all", "--quick", "--out", str(file), "--against", str(guard.RECORDED)])
    assert read_records(file, "quick")[0].ratios == {"a": (0.0004123,)}


def test_what_the_processor_is_held_to_is_told(monkeypatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert "ATEN_CPU_CAPABILITY=avx2" in guard.machine()


def test_the_recorded_ratios_are_there() -> None:
    for sizes in ("quick", "full"):
        records = read_records(guard.RECORDED, sizes)
        kinds = [one.instructions for one in records]
        assert len(set(kinds)) == len(kinds)
        assert all(one.machine and one.ratios for one in records)
    assert read_records(guard.RECORDED, "quick")


@pytest.mark.slow
def test_every_recorded_ratio_is_measured() -> None:
    measured = guard.measure(quick=True)
    assert all(ratio > 0 for ratio in measured.values())
    for record in read_records(guard.RECORDED, "quick"):
        missing = {name for name in record.ratios.keys() ^ measured.keys() if "decord" not in name}
        assert not {name for name in missing if "mmaction2" not in name}
