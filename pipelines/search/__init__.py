"""Search in a folder of embeddings.

`build` makes a FAISS index beside the data set (`parameters` chosen from its size, recall measured), `query` searches
it, or the bare data set. `exact` compares with every row; `where` parses filters; `query_vector` turns a video, images
or an id into a vector; `report` shows the answer as text, or as a page with frames.
"""
