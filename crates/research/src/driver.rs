//! Drives a kernel over a data set in lockstep: a backtest.

use std::time::{Duration, Instant};

use feeds::{DataError, MarketStream};
use model::market::MarketData;
use model::session::{SessionStatus, Sessions};
use model::{InputId, Instruments, Timestamp};
use pipeline::{EventSink, Kernel};

/// What drove by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Driven {
    /// Ticks or bars delivered.
    pub inputs: u64,
    /// Time of the first and the last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Wall time in the kernel and its sink, reading and pictures apart.
    pub engine: Duration,
}

/// Delivers every input, then lets the last session end: the last bars close and day orders expire.
///
/// `picture` sees every input before the kernel does, outside the measured time. `go_on` is asked
/// now and then; what it answers stops the run.
pub fn drive<S: EventSink, E: From<DataError>>(
    kernel: &mut Kernel,
    stream: &mut MarketStream,
    instruments: &Instruments,
    sessions: &dyn Sessions,
    sink: &mut S,
    mut picture: impl FnMut(&MarketData<'_>),
    mut go_on: impl FnMut(&mut S, u64) -> Result<(), E>,
) -> Result<Driven, E> {
    let mut driven = Driven::default();
    loop {
        let more = match stream {
            MarketStream::Ticks(ticks) => ticks.next_chunk()?.map(|chunk| {
                let data = || chunk.iter().map(|tick| MarketData::Tick(tick, None));
                deliver(kernel, data, sink, &mut picture, &mut driven);
            }),
            MarketStream::Bars(bars) => bars.next_chunk()?.map(|chunk| {
                let data = || chunk.iter().map(MarketData::Bar);
                deliver(kernel, data, sink, &mut picture, &mut driven);
            }),
        };
        if more.is_none() {
            break;
        }
        go_on(sink, driven.inputs)?;
    }
    if let Some((_, last)) = driven.span {
        let start = Instant::now();
        let end = end_of_session(instruments, sessions, last);
        kernel.finish(InputId(driven.inputs), end, sink);
        driven.engine += start.elapsed();
        go_on(sink, driven.inputs)?;
    }
    Ok(driven)
}

fn deliver<'a, I: Iterator<Item = MarketData<'a>>>(
    kernel: &mut Kernel,
    data: impl Fn() -> I,
    sink: &mut impl EventSink,
    picture: &mut impl FnMut(&MarketData<'_>),
    driven: &mut Driven,
) {
    for input in data() {
        let (first, last) = driven.span.unwrap_or((input.ts(), input.ts()));
        driven.span = Some((first, last.max(input.ts())));
        picture(&input);
    }
    let start = Instant::now();
    for input in data() {
        kernel.market(InputId(driven.inputs), &input, sink);
        driven.inputs += 1;
    }
    driven.engine += start.elapsed();
}

/// The end of the sessions that are open at `last`, one nanosecond on: what a session's end causes
/// has happened then, on bars as well.
fn end_of_session(
    instruments: &Instruments,
    sessions: &dyn Sessions,
    last: Timestamp,
) -> Timestamp {
    instruments
        .iter()
        .filter_map(
            |(_, i)| match sessions.status(sessions.group(i), last.plus(-1)) {
                SessionStatus::Open(window) if window.close != Timestamp::MAX => Some(window.close),
                _ => None,
            },
        )
        .max()
        .map_or(last, |close| close.max(last).plus(1))
}
