//! Drives a kernel over a data set in lockstep: a backtest.

use std::time::{Duration, Instant};

use feeds::{DataError, MarketStream};
use model::market::MarketData;
use model::session::{Sessions, end_of_sessions};
use model::{Date, InputId, Instruments, Timestamp};
use pipeline::{BrokerPipeline, EventSink, Kernel};

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

/// What takes a run's events, and is told when a trading day of the data has ended.
pub trait RunSink: EventSink {
    /// All data of a trading day has gone by, and all that was due by its end. The pipelines' accounts
    /// are marked at its last prices.
    fn day_closes(&mut self, date: Date, pipelines: &[BrokerPipeline]);
}

/// The trading day of the inputs that go by. A bar belongs to the day in which it ends, its close being
/// the first instant after it.
struct DataDay<'a> {
    sessions: &'a dyn Sessions,
    date: Option<Date>,
    end: Timestamp,
}

impl DataDay<'_> {
    /// The next input: the day before has ended if this is another one.
    #[cold]
    fn enter<S: RunSink>(&mut self, kernel: &mut Kernel, id: InputId, at: Timestamp, sink: &mut S) {
        if let Some(date) = self.date {
            kernel.advance(id, self.end, sink);
            sink.day_closes(date, kernel.pipelines());
        }
        let day = self.sessions.trading_day(at);
        (self.date, self.end) = (Some(day.date), day.end);
    }
}

/// Delivers every input, then lets the last session end: the last bars close and day orders expire.
///
/// `picture` sees every input before the kernel does, outside the measured time. `go_on` is asked
/// now and then; what it answers stops the run.
pub fn drive<S: RunSink, E: From<DataError>>(
    kernel: &mut Kernel,
    stream: &mut MarketStream,
    instruments: &Instruments,
    sessions: &dyn Sessions,
    sink: &mut S,
    mut picture: impl FnMut(&MarketData<'_>),
    mut go_on: impl FnMut(&mut S, u64) -> Result<(), E>,
) -> Result<Driven, E> {
    let mut driven = Driven::default();
    let mut day = DataDay {
        sessions,
        date: None,
        end: Timestamp::MIN,
    };
    loop {
        let more = match stream {
            MarketStream::Ticks(ticks) => ticks.next_chunk()?.map(|chunk| {
                let data = || chunk.iter().map(|tick| MarketData::Tick(tick, None));
                deliver(kernel, data, sink, &mut picture, &mut driven, &mut day);
            }),
            MarketStream::Bars(bars) => bars.next_chunk()?.map(|chunk| {
                let data = || chunk.iter().map(MarketData::Bar);
                deliver(kernel, data, sink, &mut picture, &mut driven, &mut day);
            }),
        };
        if more.is_none() {
            break;
        }
        go_on(sink, driven.inputs)?;
    }
    if let Some((_, last)) = driven.span {
        let start = Instant::now();
        let end = end_of_sessions(instruments, sessions, last);
        kernel.finish(InputId(driven.inputs), end, sink);
        if let Some(date) = day.date {
            sink.day_closes(date, kernel.pipelines());
        }
        driven.engine += start.elapsed();
        go_on(sink, driven.inputs)?;
    }
    Ok(driven)
}

fn deliver<'a, I: Iterator<Item = MarketData<'a>>>(
    kernel: &mut Kernel,
    data: impl Fn() -> I,
    sink: &mut impl RunSink,
    picture: &mut impl FnMut(&MarketData<'_>),
    driven: &mut Driven,
    day: &mut DataDay<'_>,
) {
    for input in data() {
        let (first, last) = driven.span.unwrap_or((input.ts(), input.ts()));
        driven.span = Some((first, last.max(input.ts())));
        picture(&input);
    }
    let start = Instant::now();
    for input in data() {
        if input.happened() >= day.end {
            day.enter(kernel, InputId(driven.inputs), input.happened(), sink);
        }
        kernel.market(InputId(driven.inputs), &input, sink);
        driven.inputs += 1;
    }
    driven.engine += start.elapsed();
}
