"""Search in a folder of embeddings.

`build` makes a FAISS index beside the data set (`parameters` chosen from its size, recall measured), `query` asks
it, or the bare data set. `exact` compares with every row; `vectors` reads rows; `where` parses filters; `asked` turns a
video, images or an id into a vector; `page` shows results with their frames.
"""
