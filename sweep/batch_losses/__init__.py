"""One run, batch by batch: from logs and trials to curves and a picture."""
