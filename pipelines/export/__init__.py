"""A trained model as a file that other programs run: ONNX, or a program of `torch.export`.

Its pieces: the choice (`config`), what is exported (`network`), which axes may vary (`axes`), capturing and writing
(`formats`), the comparison with the original (`check`), what is written into the file (`facts`), and the job itself
(`job`).
"""
