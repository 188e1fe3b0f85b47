"""Data sets of video, and everything between a file and a batch: lists, decoding, sampling, transforms, samplers."""
