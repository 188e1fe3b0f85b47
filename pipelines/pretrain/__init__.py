"""Training without labels: the same folders and files as `specvid.pipelines.action` and `specvid.pipelines.reid`."""
