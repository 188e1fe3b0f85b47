"""``specvid report``: the table over runs, the page that shows them, the figures for papers; one idea a file."""
