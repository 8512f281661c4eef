//! What a system without settings has.

/// Strategies on the simulated exchange, quick enough to show life within seconds.
pub const SAMPLES: &str = "\
strategies:
  - id: pulse
    kind: low_frequency_demo
    instruments: [SIM:OMEGA]
    parameters: { every: 3s, quantity: 1 }
  - id: trend
    kind: ema_cross
    instruments: [SIM:ALPHA, SIM:BETA]
    parameters: { fast: 5, slow: 15, quantity: 10, timeframe: 1s }
  - id: reversion
    kind: mean_reversion
    instruments: [SIM:GAMMA, SIM:DELTA]
    parameters: { quantity: 10, timeframe: 2s }
";
