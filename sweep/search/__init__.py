"""The search: space, samplers, pruners, objectives, and the parameters of each trial."""
