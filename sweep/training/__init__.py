"""Training: from a checked configuration to a trained model and its records."""
