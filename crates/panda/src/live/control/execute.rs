//! Requests, from names to commands.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::control::{CommandAction, Resolution, TradingState};
use model::reason::Reason;
use model::{InstrumentIdx, OrderId, StrategyIdx};
use runtime::host::market::MarketMessage;
use runtime::render;

use super::{Action, Effect, Reply, Request, ResolveAs};
use crate::live::handles::Handles;
use crate::live::{hanging, view};

/// The longest that a switch of a shared strategy takes to reach every namespace.
const SWITCH: Duration = Duration::from_secs(5);

/// Does what is asked.
pub fn execute(request: &Request, handles: &Handles) -> Reply {
    match request {
        Request::Status => Reply::Answer(view::session(handles)),
        Request::History { by_minute } => {
            match serde_json::to_value(handles.monitor.history(*by_minute)) {
                Ok(value) => Reply::Answer(value),
                Err(error) => Reply::Refused(error.to_string()),
            }
        }
        Request::Stop => {
            handles.stop.ask("an operator asked for it");
            Reply::Stopping
        }
        Request::Command { brokers, action } => match targets(brokers, handles) {
            Ok(targets) => command(brokers, &targets, action, handles),
            Err(why) => Reply::Refused(why),
        },
    }
}

fn targets(brokers: &[String], handles: &Handles) -> Result<Vec<usize>, String> {
    if brokers.is_empty() {
        return Ok((0..handles.members.len()).collect());
    }
    let mut targets = Vec::with_capacity(brokers.len());
    for name in brokers {
        let Some((index, _)) = handles.member(name) else {
            if let Some(out) = handles.excluded(name) {
                return Err(format!("`{name}` does not take part: {}", out.why.why));
            }
            let known: Vec<&str> = handles.members.iter().map(|m| m.name.as_str()).collect();
            return Err(format!(
                "no broker `{name}` takes part; running: {}",
                known.join(", ")
            ));
        };
        if !targets.contains(&index) {
            targets.push(index);
        }
    }
    Ok(targets)
}

fn command(brokers: &[String], targets: &[usize], action: &Action, handles: &Handles) -> Reply {
    let command = match resolve(action, handles) {
        Ok(command) => command,
        Err(why) => return Reply::Refused(why),
    };
    // A shared strategy runs once: everywhere means in the runner.
    let shared = match command {
        CommandAction::EnableStrategy(s) | CommandAction::DisableStrategy(s, _)
            if brokers.is_empty() && handles.shared.contains(&s) =>
        {
            Some((s, matches!(command, CommandAction::EnableStrategy(_))))
        }
        _ => None,
    };
    if let Some((strategy, enabled)) = shared {
        return switch(strategy, enabled, handles);
    }
    let of_order;
    let targets = match command {
        CommandAction::ResolveOrder(order, _) => match in_doubt(order, targets, handles) {
            Ok(index) => {
                of_order = [index];
                &of_order
            }
            Err(why) => return Reply::Refused(why),
        },
        _ => targets,
    };
    let effects = targets
        .iter()
        .map(|index| {
            let member = &handles.members[*index];
            let names = render::Names(&handles.start);
            let (events, error) = match handles.command(*index, command) {
                Ok(events) => (events, None),
                Err(why) => (Vec::new(), Some(why)),
            };
            Effect {
                broker: member.name.clone(),
                events: events
                    .iter()
                    .map(|e| names.event(&member.name, e))
                    .collect(),
                error,
            }
        })
        .collect();
    Reply::Effects(effects)
}

/// Tells the runner, which logs it and tells every namespace; waits until all have it.
fn switch(strategy: StrategyIdx, enabled: bool, handles: &Handles) -> Reply {
    let name = handles.start.strategies.get(strategy.index());
    let name = name.map_or("", |s| s.name.as_str());
    if enabled {
        hanging::forget(&handles.settings.live.data_dir, name);
    }
    let message = MarketMessage::Switch(strategy, enabled, Reason::OperatorRequest);
    handles.market.tell(message);
    let deadline = Instant::now() + SWITCH;
    let effects = handles.members.iter().enumerate().map(|(index, member)| {
        let mut error = None;
        loop {
            if member.host.status().ended.load(Ordering::Acquire) {
                error = Some("it takes part no more".to_owned());
                break;
            }
            let there = handles.ask(index, move |n| {
                n.pipeline().risk().is_enabled(strategy) == enabled && !n.is_waiting()
            });
            if there == Some(true) {
                break;
            }
            if Instant::now() > deadline {
                error = Some("it has not taken it yet: `panda status` shows when".to_owned());
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Effect {
            broker: member.name.clone(),
            events: vec![serde_json::json!({
                "type": "strategy_switched",
                "strategy": name,
                "enabled": enabled,
            })],
            error,
        }
    });
    Reply::Effects(effects.collect())
}

fn resolve(action: &Action, handles: &Handles) -> Result<CommandAction, String> {
    Ok(match action {
        Action::Halt => CommandAction::SetState(TradingState::Halted),
        Action::Resume => CommandAction::SetState(TradingState::Active),
        Action::ReduceOnly => CommandAction::SetState(TradingState::ReduceOnly),
        Action::EnableStrategy { strategy } => {
            CommandAction::EnableStrategy(strategy_of(strategy, handles)?)
        }
        Action::DisableStrategy { strategy } => {
            CommandAction::DisableStrategy(strategy_of(strategy, handles)?, Reason::OperatorRequest)
        }
        Action::CancelOrder { order } => CommandAction::CancelOrder(order_of(order)?),
        Action::CancelAll => CommandAction::CancelAll,
        Action::SquareOff {
            instrument: None,
            strategy: None,
        } => CommandAction::SquareOffAll,
        Action::SquareOff {
            instrument: None,
            strategy: Some(_),
        } => return Err("a strategy's position needs its instrument: --instrument ID".to_owned()),
        Action::SquareOff {
            instrument: Some(instrument),
            strategy,
        } => {
            let strategy = strategy
                .as_ref()
                .map(|s| strategy_of(s, handles))
                .transpose()?;
            CommandAction::SquareOffPosition(instrument_of(instrument, handles)?, strategy)
        }
        Action::ResolveOrder {
            order,
            resolution,
            quantity,
            price,
        } => {
            let resolution = match (resolution, quantity, price) {
                (ResolveAs::NeverReached, None, None) => Resolution::NeverReached,
                (ResolveAs::Cancelled, None, None) => Resolution::Cancelled,
                (ResolveAs::Filled, Some(quantity), Some(price)) => Resolution::Filled {
                    quantity: quantity
                        .parse()
                        .map_err(|e| format!("quantity `{quantity}`: {e}"))?,
                    price: price.parse().map_err(|e| format!("price `{price}`: {e}"))?,
                },
                (ResolveAs::Filled, ..) => {
                    return Err("an execution needs --quantity and --price".to_owned());
                }
                _ => return Err("--quantity and --price are for an execution only".to_owned()),
            };
            CommandAction::ResolveOrder(order_of(order)?, resolution)
        }
    })
}

/// Which of these brokers has the order, of which an operator may say what became.
fn in_doubt(order: OrderId, targets: &[usize], handles: &Handles) -> Result<usize, String> {
    let mut silent = Vec::new();
    for index in targets {
        let known = handles.ask(*index, move |namespace| {
            let pipeline = namespace.pipeline();
            let known = pipeline.engine().order(order);
            known.map(|o| (o.status(), pipeline.is_in_doubt(order)))
        });
        let name = handles.members[*index].name.as_str();
        match known {
            Some(Some((_, true))) => return Ok(*index),
            Some(Some((status, false))) => {
                return Err(format!(
                    "order {order} of `{name}` is {}: only one whose outcome is unknown, or of which a report is parked, is resolved by hand; `panda status` lists those",
                    status.name()
                ));
            }
            Some(None) => {}
            None => silent.push(name),
        }
    }
    Err(if silent.is_empty() {
        format!("no order {order}; `panda status` lists those whose outcome is unknown")
    } else {
        format!(
            "no order {order} is found; no answer from {}",
            silent.join(", ")
        )
    })
}

fn order_of(text: &str) -> Result<OrderId, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no order id: it has 20 letters and digits; `panda status` lists them")
    })
}

fn strategy_of(name: &str, handles: &Handles) -> Result<StrategyIdx, String> {
    handles.strategy(name).ok_or_else(|| {
        let known: Vec<&str> = handles
            .start
            .strategies
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        format!("no strategy `{name}`; known: {}", known.join(", "))
    })
}

fn instrument_of(id: &str, handles: &Handles) -> Result<InstrumentIdx, String> {
    handles
        .instruments
        .iter()
        .find(|(_, i)| i.id == id)
        .map(|(index, _)| index)
        .ok_or_else(|| format!("no instrument `{id}`"))
}
