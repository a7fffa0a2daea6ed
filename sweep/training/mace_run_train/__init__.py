"""The user's own ``mace_run_train`` as a training: a driver inside it, and its trainer outside."""
