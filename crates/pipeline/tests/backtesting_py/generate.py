"""Makes bars.csv and trades.csv: trades with a stop and a target, as backtesting.py does them.

    pip install backtesting && python crates/pipeline/tests/backtesting_py/generate.py

Whenever the position is flat at a bar's close, an order for 100 is placed where the bar's row has a side,
with the row's stop and target. The prices follow a seeded formula in integers, with gaps, so that stops
and targets are reached at opens, within bars, and within the bar of the entry.
"""

import csv
import pathlib

import pandas as pd
from backtesting import Backtest, Strategy

HERE = pathlib.Path(__file__).parent
COUNT = 500


def rows():
    state = 20260814

    def draw(span):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (state >> 33) % span

    close, out = 20000, []
    for _ in range(COUNT):
        open_ = close + draw(41) - 20 + (0 if draw(12) else draw(301) - 150)
        close = open_ + draw(161) - 80 + (20000 - open_) // 200
        high = max(open_, close) + draw(60)
        low = min(open_, close) - draw(60)
        side = (0, 1, -1)[draw(3)]
        stop = close - side * (5 + draw(120))
        target = close + side * (5 + draw(160))
        out.append((open_, high, low, close, side, stop, target))
    return out


class Bracketed(Strategy):
    def init(self):
        pass

    def next(self):
        side, stop, target = self.data.Side[-1], self.data.Stop[-1], self.data.Target[-1]
        if self.position or self.orders or not side:
            return
        order = self.buy if side > 0 else self.sell
        order(size=100, sl=stop, tp=target)


def main():
    made = rows()
    with (HERE / "bars.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["open", "high", "low", "close", "side", "stop", "target"])
        writer.writerows([*(f"{p / 100:.2f}" for p in r[:4]), r[4], *(f"{p / 100:.2f}" for p in r[5:])] for r in made)
    columns = ["Open", "High", "Low", "Close", "Side", "Stop", "Target"]
    data = pd.DataFrame([[p / 100 if i != 4 else p for i, p in enumerate(r)] for r in made], columns=columns)
    data.index = pd.date_range("2024-01-01", periods=COUNT, freq="min")
    trades = Backtest(data, Bracketed, cash=10_000_000, finalize_trades=False).run()["_trades"]
    with (HERE / "trades.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["entry_bar", "exit_bar", "size", "entry", "exit"])
        for t in trades.sort_values("EntryBar").itertuples():
            writer.writerow([t.EntryBar, t.ExitBar, t.Size, f"{t.EntryPrice:.2f}", f"{t.ExitPrice:.2f}"])


main()
