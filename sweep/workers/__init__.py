"""Running n processes that work on a study."""
