"""Trials in Weights & Biases, MLflow or TensorBoard, fed from the records in their folders."""
