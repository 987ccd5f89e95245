"""Whether the mean of a few runs lies below a value, or only happens to: Student's test, one-sided."""

import math
import statistics
from collections.abc import Sequence


def p_value(values: Sequence[float], against: float) -> float | None:
    """The chance of a mean as low as theirs if the true one were ``against``; None for fewer than two.

    Reference: Student, The Probable Error of a Mean, 1908; values independent and about normal.

    Example:
        >>> f"{p_value([81.1, 81.2, 81.0], 81.30):.3f}"
        '0.037'
        >>> p_value([81.1], 81.30)
    """
    if len(values) < 2:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values))
    distance = against - statistics.fmean(values)
    if error == 0:
        return 0.0 if distance > 0 else 1.0 if distance < 0 else 0.5
    return upper_tail(distance / error, len(values) - 1)


def upper_tail(t: float, freedom: int) -> float:
    """The chance that Student's t is at least ``t``.

    Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4: finite sums.

    Args:
        t: finite.
        freedom: degrees of freedom, at least 1.

    Example:
        >>> [round(upper_tail(t, n), 4) for t, n in ((31.821, 1), (3.747, 4), (2.821, 9))]
        [0.01, 0.01, 0.01]
    """
    angle = math.atan2(abs(t), math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = sine * math.cos(angle) if odd else sine
    total = 0.0
    for step in range(freedom // 2):
        total += term
        term *= square * (2 * step + 1 + odd) / (2 * step + 2 + odd)
    within = 2 / math.pi * (angle + total) if odd else total
    return (1 - within) / 2 if t > 0 else (1 + within) / 2
