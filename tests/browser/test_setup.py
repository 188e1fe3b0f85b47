"""The fixtures of this folder: a page runs scripts, and errors and requests to others are seen."""

from pathlib import Path

from browser_watch import Watched

BAD = "<title>bad</title><script src='https://example.org/a.js'></script><script>console.error('oh')</script>"


def test_a_page_runs_its_scripts(open_page, tmp_path: Path) -> None:
    (tmp_path / "good.html").write_text("<title>good</title><script>document.title += 1 + 1</script>")
    assert open_page((tmp_path / "good.html").as_uri()).title() == "good2"


def test_errors_and_requests_to_others_are_seen(chromium, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(BAD)
    page = chromium.new_page()
    watched = Watched(page)
    page.goto((tmp_path / "bad.html").as_uri())
    page.close()
    assert watched.outside == ["https://example.org/a.js"]
    assert any(text == "oh" for text in watched.errors)
