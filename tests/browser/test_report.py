"""The page of `specvid report --html` of trainings, in a browser: sorted, filtered, clicked, and used by keyboard."""

import json
import re
from pathlib import Path

import pytest
from tiny_motion import synthesize_tiny_motion
from tiny_reid import synthesize_tiny_mars, train

from specvid import cli

HOSTILE = "<img src=x onerror=alert(1)>"
ACTION = (
    "--dataset folders --model r3d_tiny --blocks snl(gate=0.5)@layer2.-1 --epochs 2 --batch-size 8 --workers 0 "
    "--device cpu --no-tensorboard --frames 4 --stride 1 --name motion"
)


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory, chromium: object) -> Path:
    """A report over a training on clips of four directions, one of which has a hostile name, and one on walkers."""
    root = tmp_path_factory.mktemp("report")
    clips = synthesize_tiny_motion(root / "clips")
    for part in ("train", "test"):
        (clips / part / "left").rename(clips / part / HOSTILE)
    words = ["--data", str(clips), "--runs", str(root / "runs"), *ACTION.split()]
    assert cli.run(["train", "action", *words]) == 0
    mars = synthesize_tiny_mars(root / "mars")
    assert train(mars, root / "runs", "--name walkers --epochs 1 --blocks snl(gate=0.5)@layer2.-1") == 0
    out = root / "report.html"
    assert cli.run(["report", str(root / "runs/motion"), str(root / "runs/walkers"), "--html", str(out)]) == 0
    return out


def test_actions_are_sorted_filtered_and_clicked_through(open_page, page_path: Path, screenshot) -> None:
    page = open_page(page_path.as_uri())
    page.on("dialog", lambda dialog: pytest.fail("a name was run"))
    table = page.locator("#run0-eval0-classes")
    shares = table.locator("tbody tr td:nth-child(3)")
    table.locator("th button", has_text="%").click()
    table.locator("th[aria-sort=descending]").wait_for()
    falling = list(map(float, shares.all_inner_texts()))
    assert falling == sorted(falling, reverse=True)
    table.locator("th button", has_text="%").click()
    table.locator("th[aria-sort=ascending]").wait_for()
    assert list(map(float, shares.all_inner_texts())) == sorted(falling)
    assert table.locator("tbody tr", has_text=HOSTILE).count() == 1
    page.locator("[data-filter='run0-eval0-classes']").fill("DOWN3")  # the row of a class and its number of clips
    assert [row.split()[0] for row in table.locator("tbody tr:visible").all_inner_texts()] == ["down"]

    matrix = page.locator("[data-confusion]")
    matrix.scroll_into_view_if_needed()
    matrix.locator("td[data-row]").first.wait_for()
    cell = matrix.locator("td[data-row]", has_text=re.compile(r"\d")).first
    count = int(cell.inner_text())
    assert f"{count} of 3 clips" in cell.get_attribute("title")
    cell.click()
    panel = matrix.locator(".panel")
    assert panel.locator(".card").count() == count
    assert panel.locator(".thumb").count() == count
    thumb = panel.locator(".thumb").first
    before = thumb.evaluate("node => node.style.backgroundPositionX")
    page.wait_for_function(
        "([node, was]) => node.style.backgroundPositionX !== was", arg=[thumb.element_handle(), before]
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert matrix.locator("td.chosen").count() == 1
    screenshot(page, "report-action-1280")


def test_a_click_on_a_position_repaints_the_affinity(open_page, page_path: Path) -> None:
    page = open_page(page_path.as_uri())
    clip = page.locator("#run0 [data-affinity] .clip").first
    page.locator("#run0 [data-affinity]").first.scroll_into_view_if_needed()
    clip.scroll_into_view_if_needed()
    pictures = "node => [...node.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())"
    page.wait_for_function("node => node.querySelector('[role=status]').textContent", arg=clip.element_handle())
    first = clip.evaluate(pictures)
    clip.locator("canvas").first.click(position={"x": 4, "y": 4})
    second = clip.evaluate(pictures)
    assert all(old != new for old, new in zip(first, second, strict=True))  # the row is painted over every frame
    assert "Frame 1 of" in clip.locator("[role=status]").inner_text()
    clip.locator(".frames").press("ArrowDown")
    assert clip.evaluate(pictures) != second
    assert "row 2 of" in clip.locator("[role=status]").inner_text()


def test_who_goes_by_keyboard_finds_what_is_far_below(open_page, page_path: Path) -> None:
    """Strips and affinities were built when they came into view: Tab jumped over them, to what was out of sight."""
    page = open_page(page_path.as_uri())
    assert page.locator("[data-strips] select").count() == 0
    page.keyboard.press("Tab")
    assert page.locator("[data-strips] select").count() == 3
    assert page.locator("[data-affinity] figure").count() > 1
    assert page.locator("[data-confusion] td[data-row]").count() > 1


def test_strips_are_filtered_by_camera_and_turned_round(open_page, page_path: Path, screenshot) -> None:
    page = open_page(f"{page_path.as_uri()}#run1")  # a link to a run opens it
    part = json.loads(page.locator("#data").inner_text())["strips"]["run1-eval0"]
    strips = page.locator("[data-strips]")
    strips.scroll_into_view_if_needed()
    rows = strips.locator(".strip")
    rows.first.wait_for()
    assert rows.count() == min(20, len(part["queries"]))
    assert rows.first.locator(".tile").count() == 1 + len(part["queries"][0]["list"])
    worst = rows.first.locator("h5").inner_text()
    strips.get_by_label("Order").select_option("best")
    assert rows.first.locator("h5").inner_text() != worst
    camera = part["cameras"][0]
    strips.get_by_label("Query's camera").select_option(camera)
    assert rows.count() == sum(part["tracklets"][query["t"]]["c"] == camera for query in part["queries"])
    assert all(f"camera {camera}." in text for text in strips.locator("h5").all_inner_texts())
    strips.get_by_label("Show").select_option("wrong")
    assert not strips.locator(".strip .is-right span", has_text="✓ 1").filter(has_text=re.compile("1$")).count()
    cameras = page.locator("#run1 [data-chart$=cameras]")
    cameras.scroll_into_view_if_needed()
    words = cameras.locator(".annotation-text").all_text_contents()
    assert words and all(re.fullmatch(r"\d+%\s*of \d+", text) for text in words)
    clips = page.locator("#run1 [data-affinity]")
    clips.scroll_into_view_if_needed()
    clips.locator(".clip").first.wait_for()
    assert clips.locator(".clip").count() == 2  # two tracklets of one person
    screenshot(page, "report-reid-1280")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_in_light_and_dark(open_page, page_path: Path, screenshot, scheme: str) -> None:
    page = open_page(page_path.as_uri(), width=400, color_scheme=scheme)
    for _ in range(40):
        page.mouse.wheel(0, 900)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (brightness[0] < brightness[1]) == (scheme == "light")
    screenshot(page, f"report-400-{scheme}")
