"""What optuna-dashboard shows of a trial."""
