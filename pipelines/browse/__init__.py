"""A local page over data sets of embeddings: search by example, filters, a map in two dimensions, what sets two regions
of it apart.

The searching is `specvid.pipelines.search`'s, the filters too; a file that is uploaded is embedded by the network and
the windows that made the data set.
"""
