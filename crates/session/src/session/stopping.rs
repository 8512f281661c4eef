//! What is done with orders and positions as a session stops.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::control::{CommandAction, Origin};
use settings::OnStop;

use crate::handles::{self, Handles};
use crate::narrate;

/// Of the time that stopping takes, what `on_stop` may take.
const ON_STOP: Duration = Duration::from_millis(1500);

/// A position that is left without protection at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprotected {
    /// The namespace.
    pub broker: String,
    /// Whose.
    pub strategy: String,
    /// In what.
    pub instrument: String,
    /// How much, signed.
    pub quantity: String,
}

/// Cancels or closes what the settings say, and waits for it, but not for long: the time to stop is
/// bounded, and what is left is listed.
pub(super) fn on_stop(handles: &Handles) {
    let deadline = Instant::now() + ON_STOP;
    let mut waiting = Vec::new();
    for (index, member) in handles.members.iter().enumerate() {
        let Some(table) = handles.settings.brokers.get(&member.name) else {
            continue;
        };
        let action = match table.on_stop {
            OnStop::Leave => continue,
            OnStop::CancelEntries => CommandAction::CancelEntries,
            OnStop::SquareOff => CommandAction::SquareOffAll,
        };
        let command = handles::command(Origin::default(), action);
        if let Err(why) = command.and_then(|command| handles.command(index, command)) {
            narrate::on_stop_failed(&member.name, &why);
            continue;
        }
        waiting.push((index, table.on_stop));
    }
    while !waiting.is_empty() && Instant::now() < deadline {
        waiting.retain(|(index, on_stop)| {
            let is_done = handles.members[*index].reader.read(|projection| {
                let engine = projection.engine();
                let working = engine.working_ids().into_iter();
                let has_entries = working
                    .filter_map(|id| engine.working(id))
                    .any(|w| w.order.intent().role == model::order::OrderRole::Entry);
                let is_flat = !projection.portfolio().holds(None);
                !has_entries && (*on_stop == OnStop::CancelEntries || is_flat)
            });
            !is_done
        });
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a namespace has not taken yet what was delivered. What is asked of it before is answered in
/// the middle of what still waits for it.
pub(super) fn is_behind(handles: &Handles) -> bool {
    let delivered = handles.market.status().next_input.load(Ordering::Acquire);
    handles.members.iter().any(|member| {
        let (host, status) = (&member.host, member.host.status());
        !status.ended.load(Ordering::Acquire)
            && !status.is_fenced()
            && (host.inbox().depth().0 > 0 || status.next_input.load(Ordering::Acquire) < delivered)
    })
}

/// What is left without protection, once every namespace has ended.
pub(super) fn unprotected(handles: &Handles) -> Vec<Unprotected> {
    let mut all = Vec::new();
    for member in &handles.members {
        let positions = member.reader.read(|p| p.positions(member.is_outside));
        let left = positions.into_iter().filter(|p| !p.protected);
        all.extend(left.map(|position| Unprotected {
            broker: member.name.clone(),
            strategy: position.strategy,
            instrument: position.instrument,
            quantity: position.quantity.to_string(),
        }));
    }
    all
}
