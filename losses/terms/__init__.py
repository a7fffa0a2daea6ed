"""The loss terms: one file per family of terms, every module here is a part of the registry."""
