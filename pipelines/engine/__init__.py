"""The training engine: one loop (`loop.fit`) on Lightning Fabric that every task goes through.

`config` what can be set; `task` what a task must offer; `feed` batches; `optim`, `schedule`, `ema` the step; `meter`,
`log` what is said about it;
`checkpoint`, `run` what is kept; `fabric`, `gather`, `seeds` devices, processes and randomness.
"""
