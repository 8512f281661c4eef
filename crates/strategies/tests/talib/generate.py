"""Makes talib.csv and talib_large.csv, the values that the indicators are held to.

    pip install ta-lib numpy && python crates/strategies/tests/talib/generate.py

The prices follow a seeded formula in integers, which tests/talib.rs repeats for the large series.
"""

import csv
import pathlib

import numpy as np
import talib

HERE = pathlib.Path(__file__).parent


def prices(count, seed, start, span, tick):
    """A random walk in ticks: Knuth's MMIX generator, its upper bits modulo `span`."""
    state, level, out = seed, start, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        level += (state >> 33) % span - span // 2
        out.append(level * tick / 100)
    return np.array(out)


def indicators(p):
    upper, middle, lower = talib.BBANDS(p, timeperiod=20, nbdevup=2, nbdevdn=2, matype=0)
    return {
        "ema": talib.EMA(p, timeperiod=10),
        "sma": talib.SMA(p, timeperiod=20),
        "rsi": talib.RSI(p, timeperiod=14),
        "upper": upper,
        "middle": middle,
        "lower": lower,
        "stddev": talib.STDDEV(p, timeperiod=20, nbdev=1),
        "roc": talib.ROC(p, timeperiod=10),
    }


def write(name, p, first):
    columns = {"price": p, **indicators(p)}
    with open(HERE / name, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["row", *columns])
        for i in range(first, len(p)):
            out.writerow([i, *("" if np.isnan(c[i]) else repr(float(c[i])) for c in columns.values())])


if __name__ == "__main__":
    write("talib.csv", prices(400, 7, 50_000, 41, 5), 0)
    # Near the top of the window with moves of a tick: only the last rows are kept.
    write("talib_large.csv", prices(100_000, 12_345, 9_900_000 * 20, 7, 5), 99_950)
