"""The figures of a run as inline SVG: curves, ASPIRE against its rivals, scores and confidence, sweeps.

Drawing takes matplotlib, which takes a second to load: import from here where something is drawn.
"""
