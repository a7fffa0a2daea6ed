"""The study: search space, storage, sweeper and worker."""
