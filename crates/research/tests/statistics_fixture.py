"""Writes statistics_fixture.json: generated equities and what empyrical says of their returns.

Run once, by hand, with `pip install empyrical-reloaded`:
    python statistics_fixture.py > statistics_fixture.json
"""

import json
import math
import warnings

import empyrical
import numpy

warnings.filterwarnings("ignore")
generator = numpy.random.default_rng(20210415)


def equities(start, days, drift, deviation, tail=None):
    """Exact cents, so that both sides start from the same decimals."""
    shocks = generator.standard_t(tail, days) if tail else generator.standard_normal(days)
    equity = start
    for shock in shocks:
        equity = max(1, round(equity * (1 + drift + deviation * shock)))
        yield equity


def case(name, start, closes):
    closes = list(closes)
    values = numpy.array([start] + closes, dtype=float) / 100
    returns = values[1:] / values[:-1] - 1
    expected = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns),
        "volatility": empyrical.annual_volatility(returns),
        "sharpe": empyrical.sharpe_ratio(returns),
        "sortino": empyrical.sortino_ratio(returns),
        "calmar": empyrical.calmar_ratio(returns),
        "max_drawdown": -empyrical.max_drawdown(returns),
    }
    text = lambda cents: f"{cents // 100}.{cents % 100:02d}"
    return {
        "name": name,
        "start": text(start),
        "closes": [text(c) for c in closes],
        "expected": {k: float(v) if math.isfinite(v) else None for k, v in expected.items()},
    }


cases = [
    case("two days", 100_000_00, equities(100_000_00, 2, 0.0, 0.01)),
    case("three days", 1_000_000_00, equities(1_000_000_00, 3, 0.0, 0.004)),
    case("a month down", 250_000_00, equities(250_000_00, 21, -0.01, 0.01)),
    case("a year", 1_000_000_00, equities(1_000_000_00, 252, 0.0005, 0.012)),
    case("a year of fat tails", 500_000_00, equities(500_000_00, 252, 0.0, 0.01, tail=3)),
    case("ten years", 10_000_000_00, equities(10_000_000_00, 2520, 0.0004, 0.011)),
    case("hardly any movement", 1_000_000_00, equities(1_000_000_00, 60, 0.000001, 0.00001)),
    case("only up", 100_000_00, equities(100_000_00, 30, 0.01, 0.0005)),
]
print(json.dumps({"made_with": f"empyrical-reloaded {empyrical.__version__}", "cases": cases}, indent=1))
