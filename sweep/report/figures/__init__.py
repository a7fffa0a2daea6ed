"""Figures: of the page, of the printed answer, and for papers."""
