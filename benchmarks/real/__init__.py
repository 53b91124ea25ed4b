"""Real incidents: known trouble in real data, and numbered statements about what a correct system reports."""
