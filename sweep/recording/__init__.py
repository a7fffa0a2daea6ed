"""What a training leaves behind: tables, the debug log and the run record. Imports no torch."""
