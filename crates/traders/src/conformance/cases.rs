//! The cases, one function each.

mod bars;
mod life;
mod matching;

use super::random;
use super::report::Case;
use super::subject::Feature::{
    Bars, Completion, DayExpiry, Deterministic, Fok, Gtd, Idempotent, Ioc, Limit, ModifyPrice,
    ModifyQuantity, NativeOco, NoLookAhead, Restart, Stop, StopLimit,
};

macro_rules! cases {
    ($($number:literal $name:ident [$($need:ident),*] $path:path, $sentence:literal;)*) => {
        /// Every case, in the order in which they run. Numbers are never given to another.
        pub const CASES: &[Case] = &[$(
            Case {
                number: $number,
                name: stringify!($name),
                sentence: $sentence,
                needs: &[$($need),*],
                is_random: $number >= 90,
                check: $path,
            },
        )*];
    };
}

cases! {
    1 market_order_completes [Completion] matching::market_order_completes,
        "A market order executes in full once its instrument trades.";
    2 limit_holds [Limit] matching::limit_holds,
        "A limit order never executes at a worse price than its limit.";
    3 limit_waits [Limit] matching::limit_waits,
        "A limit order does not execute before its limit is reached.";
    4 stop_waits_for_trigger [Stop] matching::stop_waits_for_trigger,
        "A stop order does nothing before its trigger trades, and executes after it.";
    5 stop_limit_holds_both [StopLimit] matching::stop_limit_holds_both,
        "A stop-limit order waits for its trigger and then holds its limit.";
    6 ioc_does_not_rest [Ioc, Limit] matching::ioc_does_not_rest,
        "What an IOC order cannot have at once is cancelled.";
    7 fok_is_all_or_nothing [Fok, Limit] matching::fok_is_all_or_nothing,
        "A FOK order executes as a whole or not at all.";
    8 no_look_ahead [NoLookAhead] matching::no_look_ahead,
        "An order executes only on market inputs after the one that it was placed on.";
    9 instruments_are_independent [Limit, Deterministic] matching::instruments_are_independent,
        "An order is not affected by the market of another instrument.";
    10 no_market_no_fill [] matching::no_market_no_fill,
        "An order for an instrument without a market waits for one.";
    20 day_order_expires [DayExpiry, Limit] life::day_order_expires,
        "A day order ends with its session and does not execute after it.";
    21 gtd_order_expires [Gtd, Limit] life::gtd_order_expires,
        "An order that is good till an instant ends with it.";
    22 cancel_ends_once [Limit] life::cancel_ends_once,
        "A cancellation ends an order exactly once, and nothing executes afterwards.";
    23 cancel_of_nothing [Limit] life::cancel_of_nothing,
        "Cancelling an unknown or finished order changes nothing.";
    24 modify_up [ModifyQuantity, Limit, Completion] life::modify_up,
        "An order that is made larger executes its new quantity.";
    25 modify_down [ModifyQuantity, Limit, Completion] life::modify_down,
        "An order that is made smaller executes no more than its new quantity.";
    26 modify_below_filled [ModifyQuantity] life::modify_below_filled,
        "An order cannot be made smaller than what has executed of it.";
    27 modify_price [ModifyPrice, Limit] life::modify_price,
        "An order whose limit is changed holds the new one.";
    28 other_leg_is_cancelled [NativeOco, Limit, Stop] life::other_leg_is_cancelled,
        "When one leg of a pair has executed, the other is cancelled in the same instant.";
    29 legs_share_their_quantity [NativeOco, Limit, Stop] life::legs_share_their_quantity,
        "Both legs of a pair together never execute more than one of them was for.";
    30 same_order_twice [Idempotent, Completion] life::same_order_twice,
        "An order that is presented again, even after its end, is still one order.";
    40 bars_fill_at_the_next_open [Bars, NoLookAhead] bars::fill_at_the_next_open,
        "On bars a market order executes at the open of a bar that begins after it.";
    41 bar_in_progress_is_not_used [Bars, NoLookAhead] bars::in_progress_is_not_used,
        "An order that is placed during a bar does not execute on it.";
    42 stop_before_target_in_a_bar [Bars, NativeOco, Limit, Stop] bars::stop_before_target,
        "Where one bar reaches both the stop and the target, the stop is taken to come first.";
    43 last_bar_of_the_session [Bars, Limit, DayExpiry] bars::last_of_the_session,
        "A day order sees the bar that ends with its session.";
    44 legs_work_from_their_entry [Bars, NoLookAhead, Limit, Stop] bars::legs_work_from_their_entry,
        "A stop works from the fill that it protects, within the bar of that fill too; a target only where \
         its entry filled at the bar's open.";
    90 orders_live_by_the_rules [] random::orders_live_by_the_rules,
        "Whatever is asked in whatever order, every report is a legal step, no trade comes twice, nothing \
         executes beyond its quantity, limit or trigger, and every order ends exactly once.";
    91 same_inputs_same_reports [Deterministic] random::same_inputs_same_reports,
        "The same commands and market data give the same reports.";
    92 restart_changes_nothing [Deterministic, Restart] random::restart_changes_nothing,
        "Saving and restoring the state at any point changes no report.";
}
