"""What happens when in a video: a network over sliding windows, and neighbouring windows of one class put together.

`config` what can be set; `classifier` the network from clips to probabilities; `merging` from windows to segments;
`files` runs over video files, `streaming` over frames as they come; `writing` and `drawing` show segments.
"""
