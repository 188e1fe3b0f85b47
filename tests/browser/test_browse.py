"""`specvid browse` in a browser: upload, search, filter, map, two regions compared; and what it refuses."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.models import create_model
from specvid.models.weights import save_weights
from specvid.pipelines.browse.app import create_app
from specvid.pipelines.browse.browser import Browser
from specvid.pipelines.browse.map import open_map
from specvid.pipelines.browse.serving import open_socket
from specvid.pipelines.browse.sets import open_sets
from specvid.pipelines.embed import EmbedConfig, JobConfig, WindowConfig, embed
from specvid.pipelines.engine.log import silent
from specvid.pipelines.networks.config import InputConfig, NetworkConfig

pytest.importorskip("uvicorn", reason="pip install 'specvid[app]'")
HOSTILE = "<img src=x onerror=alert(1)><b>Green</b>"


class Served:
    """The page over a data set, in a thread."""

    def __init__(self, out: Path, videos: list[str]) -> None:
        import uvicorn

        self.out, self.videos = out, videos
        sets = open_sets([out])
        self.browser = Browser(sets, open_map(sets, most=1000, echo=silent), device="cpu")
        self.socket = open_socket("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        app = create_app(self.browser)
        self.server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.browser.__exit__()


@pytest.fixture(scope="module")
def served(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # ``chromium`` first, so that it ends last: processes that decode hold the pipes of its driver open
    base = tmp_path_factory.mktemp("browse")
    synthesize_tiny_ucf101(base / "ucf", clips=1)
    save_weights(create_model("r3d_tiny"), base / "w.safetensors")
    videos = sorted(str(path) for path in (base / "ucf/videos").rglob("*.avi"))
    labels = [HOSTILE if "Green" in path else path.split("/")[-2] for path in videos]
    table = pa.table({"path": videos, "label": labels, "camid": [n % 2 for n in range(len(videos))]})
    pyarrow.csv.write_csv(table, base / "list.csv")
    network, clips = NetworkConfig(model="r3d_tiny", weights=str(base / "w.safetensors")), InputConfig(4, None, 16, 20)
    config = EmbedConfig(network, input=clips, windows=WindowConfig(), job=JobConfig(device="cpu", workers=0))
    embed([base / "list.csv"], base / "emb", config)
    one = Served(base / "emb", videos)
    yield one
    one.close()


def cards(page: Any, where: str = "#answers") -> list[str]:
    return page.locator(f"{where} .card .name").all_inner_texts()


def search(page: Any) -> None:
    page.locator("#search button[type=submit]").click()
    page.wait_for_function("() => /like|is no|must|Choose/.test(document.getElementById('message').textContent)")


def ready(page: Any) -> Any:
    page.wait_for_selector("#legend span")
    return page


def test_upload_search_filter(served: Served, open_page, screenshot) -> None:
    page = ready(open_page(served.address))
    red = next(path for path in served.videos if "Red" in path)
    page.set_input_files("#files", red)
    page.fill("#k", "5")
    search(page)
    assert len(cards(page)) == 5 and cards(page)[0] == f"1. {Path(red).name}"
    assert "1.0000" in page.locator("#answers .card").first.inner_text()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#answers img')].filter(i => i.naturalWidth).length == 5"
    )
    screenshot(page, "browse-1280")
    page.select_option("#filter-column", "camid")
    page.fill("#filter-value", "1")
    page.click("#filter-add")
    page.wait_for_function("() => /on the map/.test(document.getElementById('filter-note').textContent)")
    assert page.input_value("#where") == "camid == 1"
    search(page)
    assert len(cards(page)) == 5
    assert all("camid\n1" in text for text in page.locator("#answers .card").all_inner_texts())
    page.fill("#where", "camd == 1")
    search(page)
    page.wait_for_selector("#message.bad")
    assert "'camd' is unknown. Did you mean 'camid'" in page.inner_text("#message")


def test_images_and_what_cannot_be_read(served: Served, open_page, tmp_path: Path) -> None:
    from PIL import Image

    from specvid.datasets.decode import open_video

    page = ready(open_page(served.address))
    with open_video(next(path for path in served.videos if "Blue" in path)) as video:
        for number, frame in enumerate(video.frames(range(10))):
            Image.fromarray(frame).save(tmp_path / f"{number}.png")
    page.set_input_files("#files", [str(tmp_path / f"{number}.png") for number in range(10)])
    search(page)
    assert "rows like 10 images, the first is 0.png" in page.inner_text("#message")
    assert "Blue" in cards(page)[0]
    for name, says in (("<b>cut.mp4", "<b>cut.mp4"), ("notes.txt", "'notes.txt' is no video or image.")):
        (tmp_path / name).write_bytes(b"no video")
        page.set_input_files("#files", str(tmp_path / name))
        page.locator("#search button[type=submit]").click()
        page.wait_for_selector("#message.bad")
        assert says in page.inner_text("#message") and "specvid-browse-" not in page.inner_text("#message")
        page.evaluate("say('')")


def test_hostile_names_are_text(served: Served, open_page) -> None:
    page = ready(open_page(served.address))
    assert HOSTILE in page.inner_text("#legend")
    page.fill("#id", next(path for path in served.videos if "Green" in path))
    search(page)
    assert any(HOSTILE in text for text in page.locator("#answers .card").all_inner_texts())
    assert page.locator("img[src=x], b:has-text('Green')").count() == 0


def test_the_map_is_coloured_and_two_regions_are_compared(served: Served, open_page, screenshot) -> None:
    page = ready(open_page(served.address))
    classes = page.evaluate("new Set(document.getElementById('map').data[0].marker.color).size")
    page.select_option("#colour", "camid")
    page.wait_for_function("() => new Set(document.getElementById('map').data[0].marker.color).size == 2")
    assert classes == 3
    for label, button in (("Red", "#take-a"), ("Blue", "#take-b")):
        page.fill("#where", f"label == '{label}'")
        page.click("#filter button[type=submit]")
        page.wait_for_function("() => /on the map/.test(document.getElementById('filter-note').textContent)")
        page.wait_for_timeout(100)
        page.click(button)
    page.click("#compare")
    page.wait_for_selector("#difference .card img")
    lines = page.locator("#difference tbody tr").all_inner_texts()
    assert any(line.split()[:2] == ["label", "1.00"] and "Red" in line and "Blue" in line for line in lines)
    assert page.locator("#difference .cards").count() == 2
    screenshot(page, "browse-compare-1280")
    page.click("#filter-clear")
    page.wait_for_selector("#filter-note:empty", state="attached")
    page.check("input[value=select]")
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + box["height"] - 12, steps=4)
    page.mouse.up()
    page.wait_for_function(
        f"() => document.getElementById('selected').textContent == '{len(served.videos)} points selected.'"
    )
    page.click("#take-a")
    assert page.inner_text("#count-a") == str(len(served.videos))


def test_on_a_phone_in_the_dark(served: Served, open_page, screenshot) -> None:
    page = ready(open_page(served.address, width=400, color_scheme="dark"))
    page.fill("#id", served.videos[0])
    search(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    screenshot(page, "browse-400")
    page.set_viewport_size({"width": 400, "height": 500})
    page.evaluate("scrollTo(0, 0)")
    page.locator("#search button[type=submit]").dispatch_event("click")  # which scrolls nowhere by itself
    page.wait_for_function("() => document.getElementById('message').getBoundingClientRect().top < innerHeight")


def test_who_goes_by_keyboard_keeps_the_place(served: Served, open_page) -> None:
    """After Enter on an answer the focus fell to the whole page."""
    page = ready(open_page(served.address))
    page.fill("#id", served.videos[0])
    search(page)
    page.locator("#answers .card button").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'answers'")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Search with this"


def test_a_test_of_text_on_numbers_is_refused_in_words(served: Served, open_page) -> None:
    page = ready(open_page(served.address))
    page.select_option("#filter-column", "camid")
    page.select_option("#filter-test", "contains")
    page.fill("#filter-value", "1")
    page.click("#filter-add")
    page.wait_for_function("() => /camid is no text/.test(document.getElementById('filter-note').textContent)")
    assert page.input_value("#where") == ""


def test_a_test_that_is_added_holds_with_all_that_stands_there(served: Served, open_page) -> None:
    """`a or b` with c was `a or b and c`."""
    page = ready(open_page(served.address))
    page.fill("#where", "camid == 1 or camid == 2")
    page.select_option("#filter-column", "camid")
    page.select_option("#filter-test", ">=")
    page.fill("#filter-value", "2")
    page.click("#filter-add")
    assert page.input_value("#where") == "(camid == 1 or camid == 2) and camid >= 2"
    page.fill("#filter-value", "nan")
    page.click("#filter-add")
    page.wait_for_function("() => /\"nan\" is no number/.test(document.getElementById('filter-note').textContent)")
