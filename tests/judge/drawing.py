"""How hypothesis draws what the judges are asked about: alike in each of their tests."""

from hypothesis import HealthCheck, Phase, settings


def draws(examples: int) -> settings:
    """So many; none is kept, so that the next run asks the same, and none is too slow."""
    return settings(
        max_examples=examples,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
