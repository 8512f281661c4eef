//! Backtest driver, statistics and reports.
