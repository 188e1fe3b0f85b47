"""The tool that starts commands on very many files."""

import sys

import pytest

from specvid.tools.faults.many_inputs import main


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_commands_begin(capsys) -> None:
    assert main(["--files", "500"]) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1] for row in rows] == ["500"] * 4
    assert all(0 < float(row[3].split()[0]) < 20 and 50 < float(row[4].split()[0]) < 1500 for row in rows)
