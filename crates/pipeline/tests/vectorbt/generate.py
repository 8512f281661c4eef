"""Makes account.csv: position, cash and value after every bar, as vectorbt keeps them.

    pip install vectorbt && python crates/pipeline/tests/vectorbt/generate.py

The bars are those of ../backtesting_py/bars.csv. At each bar's close the row's side, times 100, is the wanted
position; the order for it executes at the next bar's open, a reversal as one order, and costs five
hundredths of a percent.
"""

import csv
import pathlib

import pandas as pd
import vectorbt as vbt

HERE = pathlib.Path(__file__).parent
FEES = 0.0005
CASH = 1_000_000


def main():
    bars = pd.read_csv(HERE.parent / "backtesting_py" / "bars.csv")
    portfolio = vbt.Portfolio.from_orders(
        close=bars["close"].astype(float),
        size=(bars["side"] * 100.0).shift(1),
        size_type="targetamount",
        direction="both",
        price=bars["open"].astype(float),
        fees=FEES,
        init_cash=CASH,
        freq="1min",
    )
    columns = zip(portfolio.assets(), portfolio.cash(), portfolio.value(), strict=True)
    with (HERE / "account.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["position", "cash", "value"])
        writer.writerows([f"{held:.0f}", f"{cash:.6f}", f"{value:.6f}"] for held, cash, value in columns)


if __name__ == "__main__":
    main()
