"""A folder that is replaced is the old one or the new one, wherever the process is killed."""

import errno
import json
import os
import pickle
import re
import shutil
import signal
import stat
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from specvid import files
from specvid.errors import disk_error
from specvid.files import (
    current,
    only_writer,
    output_file,
    output_folder,
    recover,
    recovered,
    replacing_file,
    replacing_folder,
    write_json,
    write_text,
)
from specvid.pipelines.engine.run import RunFolder
from specvid.reading import read_json


class Killed(BaseException):
    """In place of a SIGKILL: nothing catches it."""


def write(folder: Path, version: int) -> None:
    with replacing_folder(folder) as staging:
        for name in ("a", "b"):
            (staging / name).write_text(str(version))


def content(folder: Path) -> str | None:
    """The version of a complete folder; fails on a mixture."""
    found = current(folder)
    if not found.exists():
        return None
    assert {path.name for path in found.iterdir()} == {"a", "b"}
    a, b = ((found / name).read_text() for name in ("a", "b"))
    assert a == b
    return a


@pytest.fixture
def kill_at(monkeypatch):
    """Makes the n-th change on disk the last one, done (``after``) or not."""

    def arm(n: int, *, after: bool) -> None:
        count = 0

        def wrap(function):
            def counted(*arguments, **named):
                nonlocal count
                count += 1
                if count == n and not after:
                    raise Killed
                result = function(*arguments, **named)
                if count == n:
                    raise Killed
                return result

            return counted

        monkeypatch.setattr(files.os, "replace", wrap(os.replace))
        monkeypatch.setattr(files.shutil, "rmtree", wrap(shutil.rmtree))
        monkeypatch.setattr(Path, "mkdir", wrap(Path.mkdir))
        monkeypatch.setattr(Path, "write_text", wrap(Path.write_text))

    return arm


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", range(1, 14))
def test_killed_at_any_change_it_is_whole(tmp_path: Path, monkeypatch, kill_at, n: int, after: bool) -> None:
    folder = tmp_path / "last"
    write(folder, 1)
    kill_at(n, after=after)
    try:
        write(folder, 2)
        finished = True
    except Killed:
        finished = False
    monkeypatch.undo()
    seen = content(folder)
    assert seen in ("1", "2")
    if finished:
        assert seen == "2"
    coming = (recovered(folder) / "a").read_text()
    recover(folder)
    assert content(folder) == coming
    assert content(folder) in (seen, "2")  # never back to the old one
    assert folder.exists()
    write(folder, 3)
    assert content(folder) == "3"
    assert {path.name for path in tmp_path.iterdir()} == {"last"}


def test_there_are_kills_before_and_after_the_turning_point(tmp_path: Path, monkeypatch, kill_at) -> None:
    """The range above covers the whole replacement: early kills leave the old version, late ones the new one."""
    seen = set()
    for n in range(1, 14):
        folder = tmp_path / str(n) / "last"
        write(folder, 1)
        kill_at(n, after=True)
        try:
            write(folder, 2)
        except Killed:
            monkeypatch.undo()
            seen.add(content(folder))
        monkeypatch.undo()
    assert seen == {"1", "2"}


def test_json_is_replaced_whole(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_and_no_rest(tmp_path: Path, error: BaseException) -> None:
    file, folder = tmp_path / "a.csv", tmp_path / "last"
    file.write_text("old")
    write(folder, 1)

    def fail_in_file() -> None:
        with replacing_file(file) as staging:
            assert staging.suffix == ".csv"
            staging.write_text("half")
            raise error

    def fail_in_folder() -> None:
        with replacing_folder(folder) as staging:
            (staging / "a").write_text("2")
            raise error

    for fail in (fail_in_file, fail_in_folder):
        with pytest.raises(type(error)):
            fail()
    assert file.read_text() == "old" and content(folder) == "1"
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "last"}


def test_processes_that_write_one_file_do_not_share_an_unfinished_one(tmp_path: Path) -> None:
    path, aside = tmp_path / "new" / "part.parquet", tmp_path / "aside"
    with replacing_file(path, folder=aside) as staging:
        assert staging.parent == aside and str(os.getpid()) in staging.name
        staging.write_text("content")
    assert path.read_text() == "content" and not any(aside.iterdir())


def in_a_fork(work) -> int:
    """Runs ``work`` in another process, as soon as which has begun, this returns its id."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        assert os.read(reader, 1) == b"x"
        os.close(reader)
        return child
    try:
        work(lambda: os.write(writer, b"x"))
    finally:
        os._exit(0)


@pytest.mark.skipif(files.fcntl is None, reason="no locks here")
def test_processes_that_write_the_same_come_one_after_the_other(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "results.json"

    def slowly(begun) -> None:
        with replacing_file(path) as staging:
            staging.write_text("the other's")
            begun()
            time.sleep(0.6)

    child = in_a_fork(slowly)
    write_json(path, {"own": 1})  # torn, or an error, where both write one unfinished file
    os.waitpid(child, 0)
    assert json.loads(path.read_text()) == {"own": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    child = in_a_fork(slowly)
    with pytest.raises(OSError, match="being written by another process"):
        write_json(path, {"own": 2})
    os.waitpid(child, 0)
    assert path.read_text() == "the other's"


@pytest.mark.skipif(files.fcntl is None, reason="no locks here")
def test_a_folder_has_one_writer_and_a_killed_one_holds_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_ABOUT_TO_END", 0.1)
    folder = tmp_path / "run"

    def hold(begun) -> None:
        with only_writer(folder):
            begun()
            time.sleep(60)

    def replace(begun) -> None:
        with replacing_folder(tmp_path / "last"):
            begun()
            time.sleep(60)

    for work, again in ((hold, lambda: only_writer(folder)), (replace, lambda: replacing_folder(tmp_path / "last"))):
        child = in_a_fork(work)
        with pytest.raises(ValueError, match="is being written by another process"), again():
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with again():
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"run", "last"} and not any(folder.iterdir())


@pytest.mark.skipif(files.fcntl is None, reason="no locks here")
def test_many_processes_replace_one_folder_one_after_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "index"

    def replace(number: int) -> int:
        for turn in range(40):
            with replacing_folder(folder, durable=False) as staging:
                for name in "abc":
                    (staging / name).write_text(f"{number} {turn}")
            recover(folder)
        return 0

    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            code = 1
            try:
                code = replace(number)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
    assert len({(folder / name).read_text() for name in "abc"}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize("kind", ["link", "file", "ready"])
def test_what_is_no_finished_folder_does_not_replace_one(tmp_path: Path, kind: str) -> None:
    ready, folder = tmp_path / ".index.ready", tmp_path / "index"
    write(folder, 1)
    if kind == "link":
        ready.symlink_to(tmp_path / "gone")
    elif kind == "file":
        ready.write_text("whose?")
    else:
        write(ready, 2)
    recover(folder)
    assert content(folder) == ("2" if kind == "ready" else "1")
    write(folder, 3)
    assert content(folder) == "3" and [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_link_to_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "index").symlink_to(tmp_path / "gone")
    write(tmp_path / "index", 1)
    assert content(tmp_path / "index") == "1" and [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_parent_that_takes_no_folders_is_an_error_soon(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_ABOUT_TO_END", 0.1)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(OSError), replacing_folder("index"):  # noqa: PT011 (whatever the system calls it)
        pass


@pytest.mark.parametrize("kind", ["link", "file", "dangling"])
def test_what_stands_in_the_way_of_the_unfinished_folder(tmp_path: Path, kind: str) -> None:
    mine, place = tmp_path / "mine", tmp_path / ".index.writing"
    mine.mkdir()
    if kind == "link":
        place.symlink_to(mine)
        with replacing_folder(tmp_path / "index") as staging:
            (staging / "a").write_text("1")
        assert not any(mine.iterdir()) and (tmp_path / "index/a").read_text() == "1"
    elif kind == "dangling":
        (tmp_path / "parent").symlink_to(tmp_path / "gone")
        with pytest.raises(OSError, match="parent"), replacing_folder(tmp_path / "parent" / "index"):
            pass
    else:
        place.write_text("whose?")
        with pytest.raises(OSError, match="index"), replacing_folder(tmp_path / "index"):
            pass
        assert place.read_text() == "whose?"


def test_a_line_cut_off_by_a_kill_is_forgotten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for epoch in range(3):
        run.append({"epoch": epoch, "step": epoch}, {"seconds": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lo')
    for name in ("metrics.jsonl", "speed.jsonl"):
        assert [line["epoch"] for line in run.lines(name)] == [0, 1, 2]
    run.forget_epochs_from(2)
    run.append({"epoch": 2, "step": 2}, {"seconds": 1.0})
    for name in ("metrics.jsonl", "speed.jsonl"):
        assert [line["epoch"] for line in run.lines(name)] == [0, 1, 2]


def test_a_restart_continues_from_what_was_ready(tmp_path: Path) -> None:
    """Killed before the ready folder took its place, others of the job said "holds 2" of what then went on from 4."""
    run = RunFolder(tmp_path)
    assert run.steps_to_continue_from() == 0
    for folder, steps in (("last", 2), (".last.ready", 4)):
        (tmp_path / folder).mkdir()
        write_json(tmp_path / folder / "meta.json", {"steps": steps})
    assert run.steps_to_continue_from() == 4
    run.recover()
    assert run.steps_to_continue_from() == run.meta("last")["steps"] == 4


def test_folders_that_are_no_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no folder of a run: it has no config.json"):
        RunFolder(tmp_path).config()
    with pytest.raises(ValueError, match=r"has no checkpoint 'best'. It has: none yet"):
        RunFolder(tmp_path).checkpoint("best")


def test_names_that_are_not_utf8_are_written_and_come_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"clip": "caf\udce9.mp4"})
    assert read_json(tmp_path / "a.json") == {"clip": "caf\udce9.mp4"}
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.append({"epoch": 0, "step": 1, "files": ["caf\udce9.mp4"]}, {})
    assert [line["files"] for line in run.lines()] == [["caf\udce9.mp4"]]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit of the system's: what is written beyond it fails, as on a full disk."""
    resource = pytest.importorskip("resource")
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)


def test_the_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The system's error knows no name where a write fails, only where an open does."""
    write_text(tmp_path / "a.json", "old")
    message = rf"^{tmp_path}/a\.json cannot be written: the file is larger than this process may write\. Mend"
    with files_of_at_most(10), pytest.raises(OSError, match=message):
        write_text(tmp_path / "a.json", "x" * 1000)
    with (
        files_of_at_most(10),
        pytest.raises(OSError, match=r"a cannot be written: .*\. Mend that and go on\."),
        replacing_folder(tmp_path / "a", fix="go on") as folder,
    ):
        (folder / "b").write_bytes(b"z" * 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"] and (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError("[Errno 28] Error writing bytes to file. Detail: No space left on device"), "the disk is full"),
        (RuntimeError("write error in x.faiss: 7 != 9 (File too large)"), "the file is larger than"),
        (RuntimeError("[enforce fail at inline_container.cc:783] . unexpected pos 64 vs 0"), "the disk is full, or"),
        (OSError(errno.ENOENT, "No such file or directory"), None),
        (RuntimeError("a matrix is singular"), None),
        (ValueError("no such block"), None),
        (ValueError("labels.csv: row 3 says 'Permission denied', which is no class"), None),
        (KeyError("No space left on device"), None),
    ],
)
def test_what_libraries_say_of_a_full_disk(error: Exception, reason: str | None) -> None:
    named = pickle.loads(pickle.dumps(disk_error(error, "a\nb.bin")))  # as from another process
    assert named is None if reason is None else str(named).startswith(f"a\\nb.bin cannot be written: {reason}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "a") as folder:
        os.mkfifo(folder / "pipe")
    assert (tmp_path / "a" / "pipe").is_fifo()


def test_an_error_about_a_file_that_is_read_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replacing_file(tmp_path / "copy.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "source.txt"))


def test_processes_of_a_job_hold_a_folder_together(tmp_path: Path) -> None:
    with only_writer(tmp_path) as let_others_join:
        with pytest.raises(ValueError, match="is being written by another process"), only_writer(tmp_path, seconds=0):
            pass
        with pytest.raises(ValueError, match="another process"), only_writer(tmp_path, seconds=0, joins=True):
            pass
        let_others_join()
        with only_writer(tmp_path, seconds=0, joins=True):
            pass
        with (
            pytest.raises(ValueError, match="another process"),
            only_writer(tmp_path, seconds=0),
        ):  # the first of another job
            pass
    with only_writer(tmp_path, seconds=0):
        pass


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.html").symlink_to("deep/page.html")
    write_text(output_file("html", str(tmp_path / "link.html")), "new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "deep/page.html").read_text() == "new"


def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("old")
    (tmp_path / "to-pipe").symlink_to("pipe")
    for name, why in {
        "": "is no name of a file",
        f"{tmp_path}/": "is no name of a file",
        str(tmp_path): "is a folder: give the name of a file in it",
        str(tmp_path / "pipe"): "is a device, pipe or socket",
        str(tmp_path / "to-pipe"): "is a device, pipe or socket",
        os.devnull: "is a device, pipe or socket",
        str(tmp_path / "file/in.html"): f"'{tmp_path}/file' is no folder",
    }.items():
        with pytest.raises(ValueError, match=f"html '{re.escape(name)}' .*{re.escape(why)}"):
            output_file("html", name)
    for path, why in ((tmp_path / "pipe", "is a device"), (tmp_path, "is a folder")):
        with pytest.raises(ValueError, match=why):
            write_text(path, "new")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_folder_for_files_is_none_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "nowhere").symlink_to("gone")
    for name, why in {"file": "is no folder", "nowhere": "is no folder", "file/sub": "is no folder"}.items():
        with pytest.raises(ValueError, match=rf"figures '{tmp_path}/{name}' .*{why}"):
            output_folder("figures", str(tmp_path / name))
    assert output_folder("figures", str(tmp_path / "a/b")) == tmp_path / "a/b"


def test_a_folder_without_permission_is_named_before_the_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # to root the system says yes
    with pytest.raises(ValueError, match="this user may not write into"):
        output_file("html", str(tmp_path / "closed/page.html"))


def test_nothing_is_written_through_links_that_lead_out(tmp_path: Path) -> None:
    """A folder of somebody else's, whose links would have the user's own files written."""
    (tmp_path / "mine.json").write_text("mine")
    run = tmp_path / "run"
    (run / "eval/deep").mkdir(parents=True)
    (run / "inside").symlink_to("eval")
    with only_writer(run):
        pass
    for name in ("metrics.jsonl", "eval/deep/results.json", "eval/elsewhere"):
        (run / name).symlink_to(tmp_path if name.endswith("elsewhere") else tmp_path / "mine.json")
        with pytest.raises(ValueError, match=rf"'{run / name}' is a link to '{tmp_path}"), only_writer(run):
            pass
        with pytest.raises(ValueError, match="is a link to"):
            RunFolder(run).evaluation("split1")
        with only_writer(run, may_lead_out=True):
            pass
        (run / name).unlink()
    (run / ".results.writing.json").symlink_to(tmp_path / "mine.json")
    write_json(run / "results.json", {})
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert (run / "results.json").read_text() == "{}\n"
