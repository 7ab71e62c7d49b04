"""A score in three bands that a planner acts by; where they end is one fact for pages, history and alerts."""

GOOD_FROM, FAIR_FROM = 70.0, 40.0


def band_of(health: float) -> str:
    """good, fair or poor."""
    return "good" if health >= GOOD_FROM else "fair" if health >= FAIR_FROM else "poor"
