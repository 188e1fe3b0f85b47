"""A trained model as a file that other programs run: ONNX, or a program of `torch.export`.

Its parts: the settings (`config`), which axes may vary (`axes`), what is captured of a model (`capture`), how it is
written (`formats`) and compared with the original (`check`), the metadata in the file (`metadata`), and the job that
does it all (`job`).
"""
