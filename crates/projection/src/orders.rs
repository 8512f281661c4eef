//! Orders from their submission to their end, with the times and the reason that their steps tell.

use std::collections::{BTreeMap, VecDeque};

use model::event::OrderStep;
use model::order::{Order, OrderChange, OrderError, OrderIntent, OrderStatus};
use model::reason::Reason;
use model::{OrderId, Timestamp};

/// Orders that were cancelled or expired and are kept for an execution that raced their end. The
/// oldest is finished when there are more; an execution after that is an error.
pub const ENDED_MAX: usize = 16_384;

/// An event that cannot follow the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderFoldError {
    /// It belongs to an order that was never submitted.
    #[error("an event belongs to order {0}, which is not known or ended long ago")]
    Unknown(OrderId),
    /// The order's life has no such step.
    #[error("order {order}: {source}")]
    Step {
        /// Which order.
        order: OrderId,
        /// What is wrong with the step.
        source: OrderError,
    },
}

/// An order and when its life passed its steps.
#[derive(Debug, Clone)]
pub struct OrderRecord {
    /// The order as its events made it.
    pub order: Order,
    number: u64,
    /// Why it ended, where it was not filled.
    pub reason: Option<Reason>,
    /// When the broker first said that it has the order.
    pub acknowledged: Option<Timestamp>,
    /// The first execution.
    pub first_fill: Option<Timestamp>,
    /// The latest execution.
    pub last_fill: Option<Timestamp>,
    /// When its life ended.
    pub ended: Option<Timestamp>,
}

/// What a step has led to.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The order as it was meant.
    pub intent: OrderIntent,
    /// How its life has just ended, if it has.
    pub ended: Option<OrderStatus>,
    /// The order to which nothing more can happen: this one, or an older one.
    pub finished: Option<OrderRecord>,
}

/// The orders of a namespace that may still change.
#[derive(Debug, Default)]
pub struct Orders {
    live: BTreeMap<OrderId, OrderRecord>,
    /// Cancelled and expired ones among them, oldest first.
    ended: VecDeque<OrderId>,
    number: u64,
}

impl Orders {
    /// A new order.
    pub fn submitted(&mut self, intent: &OrderIntent) {
        let record = OrderRecord {
            order: Order::new(*intent),
            number: self.number,
            reason: None,
            acknowledged: None,
            first_fill: None,
            last_fill: None,
            ended: None,
        };
        self.number += 1;
        self.live.insert(intent.id, record);
    }

    /// A step of an order.
    pub fn changed(&mut self, ts: Timestamp, step: &OrderStep) -> Result<Changed, OrderFoldError> {
        let id = step.order;
        let record = self.live.get_mut(&id).ok_or(OrderFoldError::Unknown(id))?;
        let was_live = !record.order.status().is_terminal();
        let status = record
            .order
            .advance(&step.change)
            .map_err(|source| OrderFoldError::Step { order: id, source })?;
        match step.change {
            OrderChange::Acknowledged => {
                record.acknowledged.get_or_insert(ts);
            }
            OrderChange::Cancelled(reason)
            | OrderChange::Rejected(reason)
            | OrderChange::Expired(reason)
            | OrderChange::Failed(reason) => record.reason = Some(reason),
            OrderChange::Filled(_) => {
                record.first_fill.get_or_insert(ts);
                record.last_fill = Some(ts);
            }
            OrderChange::Triggered
            | OrderChange::Modified { .. }
            | OrderChange::CancelRequested(_)
            | OrderChange::CancelRefused
            | OrderChange::ModifyRefused
            | OrderChange::Unknown => {}
        }
        let mut changed = Changed {
            intent: *record.order.intent(),
            ended: None,
            finished: None,
        };
        if was_live && status.is_terminal() {
            record.ended = Some(ts);
            changed.ended = Some(status);
            changed.finished = self.finish(id, status);
        }
        Ok(changed)
    }

    /// Only a cancelled or expired order can still be met by a late execution.
    fn finish(&mut self, id: OrderId, status: OrderStatus) -> Option<OrderRecord> {
        if !matches!(status, OrderStatus::Cancelled | OrderStatus::Expired) {
            return self.live.remove(&id);
        }
        self.ended.push_back(id);
        if self.ended.len() <= ENDED_MAX {
            return None;
        }
        let oldest = self.ended.pop_front()?;
        self.live.remove(&oldest)
    }

    /// The orders that have not been finished, in the order of submission.
    pub fn into_rest(self) -> Vec<OrderRecord> {
        let mut rest: Vec<OrderRecord> = self.live.into_values().collect();
        rest.sort_unstable_by_key(|record| record.number);
        rest
    }
}
