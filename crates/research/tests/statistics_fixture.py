"""Writes statistics_fixture.json: generated equities and what empyrical and QuantStats say of their returns.

Run once, by hand, with `pip install empyrical-reloaded quantstats`:
    python statistics_fixture.py > statistics_fixture.json
"""

import json
import math
import warnings
from importlib.metadata import version

import empyrical
import numpy
import pandas
import quantstats.stats as quantstats

warnings.filterwarnings("ignore")
generator = numpy.random.default_rng(20210415)


def equities(start, days, drift, deviation, tail=None):
    """Exact cents, so that both sides start from the same decimals."""
    shocks = generator.standard_t(tail, days) if tail else generator.standard_normal(days)
    equity = start
    for shock in shocks:
        equity = max(1, round(equity * (1 + drift + deviation * shock)))
        yield equity


def case(name, start, closes, year=252):
    closes = list(closes)
    values = numpy.array([start] + closes, dtype=float) / 100
    returns = values[1:] / values[:-1] - 1
    expected = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, annualization=year),
        "volatility": empyrical.annual_volatility(returns, annualization=year),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=year),
        "sortino": empyrical.sortino_ratio(returns, annualization=year),
        "calmar": empyrical.calmar_ratio(returns, annualization=year),
        "max_drawdown": -empyrical.max_drawdown(returns),
    }
    # QuantStats takes dates, and closing equities for the drawdown.
    dates = pandas.date_range("2019-04-15", periods=len(closes) + 1)
    equity = pandas.Series(values, index=dates)
    series = pandas.Series(returns, index=dates[1:])
    second = {
        "total_return": quantstats.comp(series),
        "volatility": quantstats.volatility(series, periods=year),
        "sharpe": quantstats.sharpe(series, periods=year),
        "sortino": quantstats.sortino(series, periods=year),
        "max_drawdown": -quantstats.max_drawdown(equity),
        "best_day": quantstats.best(series),
        "worst_day": quantstats.worst(series),
    }
    finite = lambda figures: {k: float(v) if math.isfinite(v) else None for k, v in figures.items()}
    text = lambda cents: f"{cents // 100}.{cents % 100:02d}"
    return {
        "name": name,
        "periods": year,
        "start": text(start),
        "closes": [text(c) for c in closes],
        "empyrical": finite(expected),
        "quantstats": finite(second),
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
    case("a quarter up", 100_000_00, equities(100_000_00, 63, 0.01, 0.0005)),
    case("a year that never closes", 100_000_00, equities(100_000_00, 365, 0.001, 0.03, tail=4), 365),
]
made_with = f"empyrical-reloaded {empyrical.__version__}, quantstats {version('quantstats')}"
print(json.dumps({"made_with": made_with, "cases": cases}, indent=1))
