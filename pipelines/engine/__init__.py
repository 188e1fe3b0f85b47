"""The training engine: one skeleton (`training.train`) and one loop (`loop.fit`) on Lightning Fabric for every task.

`config` what can be set; `recipes` settings that go together; `training` and `evaluation` the skeletons, `task` what a
task must offer; `feed` batches; `optim`, `schedule`, `ema` the step; `meter`, `dashboard`, `log` what is shown of it;
`state`, `run`, `start` what is saved; `signals` what ends it; `workers`, `isolated`, `loading` processes that decode;
`fabric`, `devices`, `processes`, `gather`, `seeds` devices, processes and randomness.
"""
