//! What a system without settings has.

/// Two strategies on the simulated exchange, quick enough to show life within seconds.
pub const SAMPLES: &str = "\
strategies:
  - id: trend
    kind: ema_cross
    instruments: [SIM:ALPHA, SIM:BETA, SIM:GAMMA]
    parameters: { fast: 5, slow: 15, quantity: 10, timeframe: 1s }
  - id: reversion
    kind: mean_reversion
    instruments: [SIM:DELTA, SIM:OMEGA]
    parameters: { quantity: 10 }
";
