//! Commands to a running session, from another terminal.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use journal::{FileLogs, Logs};
use serde_json::Value;
use session::control::{Action, Client, Effect, Reply, Request, ResolveAs, local_user};
use session::recorded_status;
use settings::Settings;

use super::print;
use crate::compose::BUILT_IN;

/// Which session, and which of its brokers.
#[derive(Debug, Args)]
pub struct Target {
    /// The broker; several are separated by commas; without it all that run
    #[arg(
        long = "broker",
        alias = "brokers",
        value_name = "NAME",
        value_delimiter = ','
    )]
    brokers: Vec<String>,
    /// Carry it out once for this key: given again, it answers the same; 1 to 64 visible characters
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    at: Place,
}

/// Which session.
#[derive(Debug, Args)]
pub struct Place {
    /// The session's data directory; default: data_dir of the settings
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Settings (TOML) that name the data directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Place {
    fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.dir()?)
    }

    /// The settings, with the data directory.
    fn settings(&self) -> anyhow::Result<Settings> {
        super::run::settings(self.config.as_deref(), &[], self.data_dir.as_deref(), &[])
    }

    /// The data directory.
    pub fn dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let settings = super::run::settings(self.config.as_deref(), &[], None, &[])?;
        Ok(settings.live.data_dir)
    }
}

/// Lets brokers trade again.
#[derive(Debug, Args)]
#[command(after_help = "\
While a loss limit is still reached, the resume is refused with the loss and the limit: the daily loss
counts from the trading day's start, whatever was halted and resumed since.

Examples:
  panda resume --broker paper
  panda resume --broker paper --reset-loss-base")]
pub struct ResumeArgs {
    /// Count daily loss and drawdown from now on; the journal records it
    #[arg(long)]
    reset_loss_base: bool,
    #[command(flatten)]
    target: Target,
}

/// Lets a strategy trade, or keeps it from it.
#[derive(Debug, Subcommand)]
pub enum StrategyCommand {
    /// Let a strategy trade again
    Enable {
        /// Its id
        strategy: String,
        /// Count its daily loss and drawdown from now on; the journal records it
        #[arg(long)]
        reset_loss_base: bool,
        /// Which brokers
        #[command(flatten)]
        target: Target,
    },
    /// Keep a strategy from trading; what it holds stays, and can be squared off
    Disable {
        /// Its id
        strategy: String,
        /// Which brokers
        #[command(flatten)]
        target: Target,
    },
}

/// How an order of unknown outcome ends.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Outcome {
    /// The broker never had it
    NeverReached,
    /// The broker cancelled it, beyond what has been reported as executed
    Cancelled,
    /// It executed: needs a quantity and a price
    Filled,
}

impl From<Outcome> for ResolveAs {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::NeverReached => Self::NeverReached,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Filled => Self::Filled,
        }
    }
}

/// Orders of a running session.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Cancel one working order, or all of them
    #[command(group = clap::ArgGroup::new("which").required(true).args(["order", "all"]))]
    Cancel {
        /// Its id, as `panda status` shows it
        order: Option<String>,
        /// Every working order
        #[arg(long)]
        all: bool,
        /// Which brokers
        #[command(flatten)]
        target: Target,
    },
    /// End an order whose outcome nothing else can tell; what is said here is booked
    #[command(after_help = "\
Only for an order whose outcome is unknown or of which a report is parked. Look it up at the broker
first. A report of the same execution that still comes is booked as well.

Examples:
  panda order resolve ID --broker zerodha --as never-reached
  panda order resolve ID --broker zerodha --as filled --quantity 10 --price 2512.35")]
    Resolve {
        /// Its id, as `panda status` shows it
        order: String,
        /// What became of it
        #[arg(long = "as", value_name = "OUTCOME")]
        resolution: Outcome,
        /// Of an execution: how much
        #[arg(long, value_name = "N")]
        quantity: Option<String>,
        /// Of an execution: at what price
        #[arg(long, value_name = "PRICE")]
        price: Option<String>,
        /// Which brokers
        #[command(flatten)]
        target: Target,
    },
}

/// Closes positions.
#[derive(Debug, Args)]
#[command(after_help = "\
Orders in the way are cancelled first. Entries go on afterwards: halt first where they should not.

Examples:
  panda square-off --broker paper
  panda square-off --broker paper --instrument NSE:INFY --strategy trend")]
pub struct SquareOffArgs {
    /// Only positions in this instrument
    #[arg(long, value_name = "ID")]
    instrument: Option<String>,
    /// Only this strategy's position
    #[arg(long, value_name = "ID", requires = "instrument")]
    strategy: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Shows how a session is, or how the last one left things.
#[derive(Debug, Args)]
#[command(after_help = "\
Where no session runs, the logs are read: positions, orders, money and counts as they were recorded last.

Examples:
  panda status
  panda status --watch
  panda status --json | jq '.brokers[0].positions'
  panda status --history --json")]
pub struct StatusArgs {
    #[command(flatten)]
    at: Place,
    /// Show it again every second, until interrupted
    #[arg(long, conflicts_with = "history")]
    watch: bool,
    /// What the monitor has kept of the last ten minutes, a line a second
    #[arg(long)]
    history: bool,
    /// A sample a minute, of the last day
    #[arg(long, requires = "history")]
    by_minute: bool,
}

/// Gives a command to the brokers of a session.
pub fn command(target: &Target, action: Action) -> anyhow::Result<()> {
    let request = Request::Command {
        brokers: target.brokers.clone(),
        actor: local_user(),
        key: target.key.clone(),
        action,
    };
    match target.at.client()?.ask(&request)? {
        Reply::Effects(effects) => show(&effects, target.at.json),
        other => bail!("an unexpected answer: {other:?}"),
    }
}

fn show(effects: &[Effect], json: bool) -> anyhow::Result<()> {
    let mut out = String::new();
    if json {
        for effect in effects {
            let _infallible = writeln!(out, "{}", serde_json::to_string(effect)?);
        }
    } else {
        for effect in effects.iter().filter(|e| e.error.is_none()) {
            if effect.events.is_empty() {
                let _infallible = writeln!(
                    out,
                    "{}: nothing to change: it is so already, or there is no such order",
                    effect.broker
                );
            }
            for event in &effect.events {
                let _infallible = writeln!(out, "{}: {}", effect.broker, sentence(event));
            }
        }
    }
    print(&out)?;
    let failed: Vec<&str> = effects.iter().filter_map(|e| e.error.as_deref()).collect();
    if !failed.is_empty() {
        bail!(failed.join("; "));
    }
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn sentence(event: &Value) -> String {
    match text(event, "type") {
        "trading_state_changed" => {
            let losses = if event["resets_losses"] == true {
                "; losses count from now on"
            } else {
                ""
            };
            format!(
                "trading is {} (it was {}){losses}",
                text(event, "to"),
                text(event, "from")
            )
        }
        kind => {
            let mut line = kind.replace('_', " ");
            for key in ["order_id", "strategy", "instrument", "reason"] {
                if !text(event, key).is_empty() {
                    let _infallible = write!(line, " {}", text(event, key));
                }
            }
            if let Some(enabled) = event.get("enabled").and_then(Value::as_bool) {
                line += if enabled { ": enabled" } else { ": disabled" };
            }
            if event["resets_losses"] == true {
                line += "; its losses count from now on";
            }
            line
        }
    }
}

/// Runs `panda resume`.
pub fn resume(args: &ResumeArgs) -> anyhow::Result<()> {
    let action = Action::Resume {
        reset_loss_base: args.reset_loss_base,
    };
    command(&args.target, action)
}

/// Runs `panda strategy`.
pub fn strategy(action: &StrategyCommand) -> anyhow::Result<()> {
    match action {
        StrategyCommand::Enable {
            strategy,
            reset_loss_base,
            target,
        } => {
            let action = Action::EnableStrategy {
                strategy: strategy.clone(),
                reset_loss_base: *reset_loss_base,
            };
            command(target, action)
        }
        StrategyCommand::Disable { strategy, target } => {
            let strategy = strategy.clone();
            command(target, Action::DisableStrategy { strategy })
        }
    }
}

/// Runs `panda order`.
pub fn order(action: &OrderCommand) -> anyhow::Result<()> {
    match action {
        OrderCommand::Cancel { order, target, .. } => {
            let action = match order {
                Some(order) => Action::CancelOrder {
                    order: order.clone(),
                },
                None => Action::CancelAll,
            };
            command(target, action)
        }
        OrderCommand::Resolve {
            order,
            resolution,
            quantity,
            price,
            target,
        } => command(
            target,
            Action::ResolveOrder {
                order: order.clone(),
                resolution: (*resolution).into(),
                quantity: quantity.clone(),
                price: price.clone(),
            },
        ),
    }
}

/// Runs `panda square-off`.
pub fn square_off(args: &SquareOffArgs) -> anyhow::Result<()> {
    command(
        &args.target,
        Action::SquareOff {
            instrument: args.instrument.clone(),
            strategy: args.strategy.clone(),
        },
    )
}

/// Runs `panda stop`: asks, and waits until the session has ended.
pub fn stop(at: &Place) -> anyhow::Result<()> {
    let dir = at.dir()?;
    at.client()?.ask(&Request::Stop)?;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while journal::DirLock::holder(&dir).is_some() {
        if std::time::Instant::now() > deadline {
            bail!("the session has not ended within 30 s; its log says what it waits for");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if at.json {
        return print("{\"stopped\":true}\n");
    }
    print("stopped\n")
}

fn shown(status: &Value, settings: &Settings, json: bool) -> anyhow::Result<String> {
    if !json {
        return Ok(super::status::table(status, &settings.zone));
    }
    let pretty = serde_json::to_string_pretty(status).context("the answer")?;
    Ok(format!("{pretty}\n"))
}

/// Runs `panda status`.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let settings = args.at.settings()?;
    let dir = &settings.live.data_dir;
    let mut client = match Client::find(dir)? {
        Some(client) => client,
        None if args.history || args.watch => Client::connect(dir)?,
        None => {
            let brokers = FileLogs::existing(dir).journals().unwrap_or_default();
            if !brokers.is_empty() {
                let status = recorded_status(&settings, &brokers, BUILT_IN)?;
                return print(&shown(&status, &settings, args.at.json)?);
            }
            Client::connect(dir)?
        }
    };
    if args.history {
        let request = Request::History {
            by_minute: args.by_minute,
        };
        let Reply::Answer(Value::Array(samples)) = client.ask(&request)? else {
            bail!("an unexpected answer");
        };
        let mut out = String::new();
        for sample in samples {
            let _infallible = writeln!(out, "{sample}");
        }
        return print(&out);
    }
    loop {
        let Reply::Answer(status) = client.ask(&Request::Status)? else {
            bail!("an unexpected answer");
        };
        let shown = shown(&status, &settings, args.at.json)?;
        if !args.watch {
            return print(&shown);
        }
        print(&format!("\x1b[H\x1b[2J{shown}"))?;
        std::thread::sleep(Duration::from_secs(1));
    }
}
