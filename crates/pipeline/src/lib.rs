//! The pure stages (runner, risk, engine, portfolio) and the kernel that composes them.
