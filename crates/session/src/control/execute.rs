//! Requests, from names to commands.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use inspect::render;
use model::control::{Actor, Command, CommandAction, CommandKey, Origin, Resolution, TradingState};
use model::event::EventBody;
use model::reason::Reason;
use model::{InstrumentIdx, OrderId, StrategyIdx};
use runtime::dead_letters::Owner;
use runtime::driver::market::MarketMessage;

use super::{Action, Effect, Reply, Request, ResolveAs};
use crate::handles::{self, Answer, Handles, Member};
use crate::{hanging, view};

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
        Request::Letter { owner, id, action } => {
            let outcome = Owner::named(owner)
                .ok_or_else(|| format!("`{owner}` is no namespace"))
                .and_then(|owner| handles.letters.act(owner, id, *action));
            outcome.map_or_else(Reply::Refused, Reply::Letter)
        }
        Request::Stop => {
            handles.stop.ask("an operator asked for it");
            Reply::Stopping
        }
        Request::Command {
            brokers,
            actor,
            key,
            action,
        } => origin(actor, key.as_deref())
            .and_then(|origin| command(brokers, origin, action, handles))
            .unwrap_or_else(Reply::Refused),
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

/// Who gives a command, and its key, as they are recorded.
fn origin(actor: &str, key: Option<&str>) -> Result<Origin, String> {
    let is_key =
        |key: &str| (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if let Some(key) = key.filter(|key| !is_key(key)) {
        return Err(format!(
            "the key `{key}` is not one: a key has 1 to 64 visible characters of ASCII"
        ));
    }
    Ok(Origin {
        actor: Actor::from(actor)
            .map_err(|_| format!("the actor `{actor}` is longer than 32 bytes"))?,
        key: CommandKey::from(key.unwrap_or_default()).unwrap_or_default(),
    })
}

fn command(
    brokers: &[String],
    origin: Origin,
    action: &Action,
    handles: &Handles,
) -> Result<Reply, String> {
    let targets = targets(brokers, handles)?;
    let command = handles::command(origin, resolve(action, handles)?)?;
    // A shared strategy runs once: everywhere means in the runner.
    let shared = match command.action {
        CommandAction::EnableStrategy(s)
        | CommandAction::EnableStrategyAnew(s)
        | CommandAction::DisableStrategy(s, _)
            if brokers.is_empty() && handles.shared.contains(&s) =>
        {
            Some(s)
        }
        _ => None,
    };
    if let Some(strategy) = shared {
        return switch(strategy, command, handles);
    }
    let targets = match command.action {
        CommandAction::ResolveOrder(order, _) => vec![of_order(order, command, &targets, handles)?],
        _ => targets,
    };
    let effects = targets.iter().map(|index| {
        let broker = handles.members[*index].name.clone();
        match handles.command(*index, command) {
            Ok(answer) => {
                let start = answer.start.as_ref().map_or(&handles.start, |start| start);
                let names = render::Names(start);
                let events = answer.events.iter();
                Effect {
                    error: refused(&answer, &names).map(|why| format!("{broker}: {why}")),
                    events: events.map(|(e, at)| names.event(&broker, e, *at)).collect(),
                    broker,
                }
            }
            Err(why) => Effect {
                broker,
                events: Vec::new(),
                error: Some(why),
            },
        }
    });
    Ok(Reply::Effects(effects.collect()))
}

/// Why a command to trade again was refused, if it was.
fn refused(answer: &Answer, names: &render::Names<'_>) -> Option<String> {
    answer
        .events
        .iter()
        .find_map(|(event, _)| match event.body {
            EventBody::ResumeRefused {
                strategy,
                reason,
                breach,
            } => Some(names.refusal(strategy, reason, breach)),
            _ => None,
        })
}

/// Of a namespace that has ended, or was taken out.
const GONE: &str = "it takes part no more";

/// Tells the runner, which logs it and tells every namespace; waits until all have it.
fn switch(strategy: StrategyIdx, command: Command, handles: &Handles) -> Result<Reply, String> {
    let names = render::Names(&handles.start);
    let _one_at_a_time = handles
        .switching
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let enabled = !matches!(command.action, CommandAction::DisableStrategy(..));
    let resets_losses = matches!(command.action, CommandAction::EnableStrategyAnew(_));
    let name = handles.start.strategies.get(strategy.index());
    let name = name.map_or("", |s| s.name.as_str());
    let effect = |broker: &str, error: Option<String>| Effect {
        broker: broker.to_owned(),
        events: if error.is_some() {
            Vec::new()
        } else {
            vec![serde_json::json!({
                "type": "strategy_switched",
                "strategy": name,
                "enabled": enabled,
                "resets_losses": resets_losses,
            })]
        },
        error,
    };
    let members = || handles.members.iter().enumerate();
    // Which namespaces have it under its key: one that takes part no more keeps it from no other.
    let known: Vec<_> = members()
        .map(|(index, _)| match command.origin.key.is_empty() {
            true => Ok(None),
            false => handles.known(index, command),
        })
        .collect();
    let again = |broker: &str, answer: &Answer| {
        let error = refused(answer, &names);
        effect(broker, error.map(|why| format!("{broker}: {why}")))
    };
    let is_gone = |member: &Member| {
        let status = member.host.status();
        status.ended.load(Ordering::Acquire) || status.is_fenced()
    };
    // What is answered without acting: what it came to before, or why the key cannot be taken.
    let answered = |index: usize, member: &Member| match known.get(index) {
        Some(Ok(Some(answer))) => Some(again(&member.name, answer)),
        Some(Err(why)) if !is_gone(member) => Some(effect(
            &member.name,
            Some(format!("{}: {why}", member.name)),
        )),
        _ => None,
    };
    let done: Vec<_> = members()
        .map(|(index, member)| answered(index, member))
        .collect();
    if done.iter().any(Option::is_some) && !known.iter().any(|known| matches!(known, Ok(None))) {
        let gone = |member: &Member| effect(&member.name, Some(GONE.to_owned()));
        let effects = members()
            .zip(done)
            .map(|((_, m), done)| done.unwrap_or_else(|| gone(m)));
        return Ok(Reply::Effects(effects.collect()));
    }
    if enabled {
        hanging::forget(&handles.settings.live.data_dir, name);
    }
    // A namespace may refuse it: what it has refused so far tells its answer from an older one.
    let refusals: Vec<_> = members()
        .map(|(_, member)| member.reader.read(|p| p.risk().refusals(strategy).0))
        .collect();
    handles.market.tell(MarketMessage::Switch(command));
    let deadline = Instant::now() + SWITCH;
    let effects = members().map(|(index, member)| {
        // One that had it before takes it no second time.
        if let Some(done) = answered(index, member) {
            return done;
        }
        let error = loop {
            if member.host.status().ended.load(Ordering::Acquire) {
                break Some(GONE.to_owned());
            }
            // What it tells is durable.
            let (is_taken, refused) = member.reader.read(|projection| {
                let risk = projection.risk();
                let is_taken = risk.is_enabled(strategy) == enabled;
                (is_taken, risk.refusals(strategy))
            });
            if let (count, Some((reason, breach))) = refused
                && enabled
                && refusals[index] != count
            {
                let why = names.refusal(Some(strategy), reason, breach);
                break Some(format!("{}: {why}", member.name));
            }
            if is_taken {
                break None;
            }
            if Instant::now() > deadline {
                break Some("it has not taken it yet: `panda status` shows when".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        effect(&member.name, error)
    });
    Ok(Reply::Effects(effects.collect()))
}

fn resolve(action: &Action, handles: &Handles) -> Result<CommandAction, String> {
    Ok(match action {
        Action::Halt => CommandAction::SetState(TradingState::Halted),
        Action::Resume {
            reset_loss_base: false,
        } => CommandAction::SetState(TradingState::Active),
        Action::Resume {
            reset_loss_base: true,
        } => CommandAction::ResumeAnew,
        Action::ReduceOnly => CommandAction::SetState(TradingState::ReduceOnly),
        Action::EnableStrategy {
            strategy,
            reset_loss_base,
        } => {
            let strategy = strategy_of(strategy, handles)?;
            if *reset_loss_base {
                CommandAction::EnableStrategyAnew(strategy)
            } else {
                CommandAction::EnableStrategy(strategy)
            }
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

/// Which of these brokers has the order, of which an operator may say what became, or has said it with
/// this command.
fn of_order(
    order: OrderId,
    command: Command,
    targets: &[usize],
    handles: &Handles,
) -> Result<usize, String> {
    if !command.origin.key.is_empty() {
        for index in targets {
            // One that takes part no more keeps the command from no other.
            if let Ok(Some(_)) = handles.known(*index, command) {
                return Ok(*index);
            }
        }
    }
    for index in targets {
        let member = &handles.members[*index];
        let known = member.reader.read(|projection| {
            let engine = projection.engine();
            let known = engine.order(order);
            known.map(|o| (o.status(), engine.is_in_doubt(order)))
        });
        match known {
            Some((_, true)) => return Ok(*index),
            Some((status, false)) => {
                return Err(format!(
                    "order {order} of `{}` is {}: only one whose outcome is unknown, or of which a report is parked, is resolved by hand; `panda status` lists those",
                    member.name,
                    status.name()
                ));
            }
            None => {}
        }
    }
    Err(format!(
        "no order {order}; `panda status` lists those whose outcome is unknown"
    ))
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
        .ok_or_else(|| format!("no instrument `{id}` is used here"))
}
