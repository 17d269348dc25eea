"""Study: is the map true? Calibration, scores against what happened, and the magnet test."""
