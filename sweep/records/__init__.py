"""What a trial and a study leave behind, and every rule that follows from it.

Imports neither torch nor optuna.
"""
