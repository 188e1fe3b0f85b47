"""``specvid bench WHAT``: each measures side by side with what it must beat."""
