//! What either side of the socket says when the other does not keep to the protocol.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::InputId;
use model::trader::Delivery;
use sim::server::{ServeOptions, Server};
use sim::wire::{self, Frames, Got, MESSAGE_MAX, Mode, Reply, Request};
use sim::{RemoteTrader, SimSettings};
use traders::{Answer, BrokerReport, ClientOrderId, Found, LinkError, Reports, Trader};

const PATIENCE: Duration = Duration::from_secs(60);

fn framed<M: serde::Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::frame(message, &mut bytes).unwrap();
    bytes
}

fn hello(version: u32, account: &str, delivery: Delivery) -> Vec<u8> {
    framed(&Request::Hello {
        version,
        account: account.to_owned(),
        delivery,
        totals: false,
        instruments: vec!["X:A".to_owned()],
    })
}

/// What the exchange says to these bytes, up to the end of the connection.
fn answers(socket: &Path, bytes: &[u8]) -> Vec<Reply> {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(bytes).unwrap();
    let mut frames = Frames::new(stream);
    let mut all = Vec::new();
    while let Ok(Got::Message(reply)) = frames.read() {
        all.push(reply);
    }
    all
}

#[test]
fn a_client_that_does_not_keep_to_the_protocol_is_told_why_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("exchange.sock");
    let _server = Server::start(ServeOptions::new(socket.clone())).unwrap();
    let unwelcome = |bytes: &[u8], says: &str| match answers(&socket, bytes).as_slice() {
        [Reply::Unwelcome(why)] => assert!(why.contains(says), "{why}"),
        other => panic!("{says}: {other:?}"),
    };
    let ours = wire::VERSION;
    let newer = format!("version {} of the messages; here it is {ours}", ours + 1);
    unwelcome(&hello(ours + 1, "a", Delivery::Idempotent), &newer);
    unwelcome(
        &hello(ours, "a", Delivery::QueryOnly),
        "this exchange is served as Idempotent, and the trader's `delivery` is QueryOnly: make them the same",
    );
    let greeting = "the first message must be a greeting";
    unwelcome(&framed(&Request::Confirm(1)), greeting);
    // A request that does not exist.
    unwelcome(&[1, 0, 0, 0, 99], "");
    // One that claims to be longer than any is not waited for.
    let long = u32::try_from(MESSAGE_MAX + 1).unwrap().to_le_bytes();
    assert_eq!(answers(&socket, &long), []);
    // More accounts than it opens, all greeted on one connection.
    let stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut frames = Frames::new(stream.try_clone().unwrap());
    let mut count = 0;
    let why = loop {
        let account = format!("account {count}");
        (&stream)
            .write_all(&hello(ours, &account, Delivery::Idempotent))
            .unwrap();
        match frames.read().unwrap() {
            Got::Message(Reply::Welcome { mode }) => assert_eq!(mode, Mode::Lockstep),
            Got::Message(Reply::Unwelcome(why)) => break why,
            _ => panic!("no answer to account {count}"),
        }
        count += 1;
        assert!(count < 10_000);
    };
    assert_eq!(why, format!("{count} accounts are open already"));
}

/// What the trader passes on besides its answers.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

/// A host that takes no more.
struct Full(Heard);

impl Reports for Full {
    fn report(&self, _: BrokerReport) -> bool {
        false
    }
    fn lost(&self, why: &str) {
        self.0.lost(why);
    }
    fn unreadable(&self, what: &[u8], why: &str) {
        self.0.unreadable(what, why);
    }
}

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Reports for Heard {
    fn report(&self, _: BrokerReport) -> bool {
        true
    }
    fn lost(&self, why: &str) {
        self.0.lock().unwrap().push(format!("lost: {why}"));
    }
    fn unreadable(&self, what: &[u8], _: &str) {
        self.0.lock().unwrap().push(format!("unreadable: {what:?}"));
    }
}

/// An exchange that says these bytes to each connection in turn once it was greeted, and to the calls that
/// follow; then it closes.
fn serve(socket: PathBuf, connections: Vec<Vec<Vec<u8>>>) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for said in connections {
            let (stream, _) = listener.accept().unwrap();
            let mut frames = Frames::new(stream.try_clone().unwrap());
            for bytes in said {
                let asked: Got<Request> = frames.read().unwrap();
                assert!(matches!(asked, Got::Message(_)));
                (&stream).write_all(&bytes).unwrap();
            }
        }
    })
}

#[test]
fn what_an_exchange_does_not_answer_is_unknown_and_its_nonsense_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("exchange.sock");
    let settings = SimSettings {
        timeout_ms: 60_000,
        ..SimSettings::default()
    };
    let mut trader = RemoteTrader::new(&settings, socket.clone(), "a", vec!["X:A".to_owned()]);
    let heard = Arc::new(Heard::default());
    let connect = |trader: &mut RemoteTrader| {
        let sink = Arc::clone(&heard) as Arc<dyn Reports>;
        trader.connect(sink)
    };
    let id = ClientOrderId::from("A").unwrap();
    let tick = model::Tick::default();
    let data = model::market::MarketData::Tick(&tick, None);
    let pass = |trader: &mut RemoteTrader| trader.pass(InputId(1), &data);
    let unreachable = |why: &str| Err(LinkError::Unreachable(why.to_owned()));

    // No exchange serves the socket: nothing is sent.
    let error = connect(&mut trader).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "the broker cannot be reached: {}: ",
            socket.display()
        )),
        "{error}"
    );
    let unsent = Answer::NotSent(model::reason::Reason::TraderUnreachable);
    assert_eq!(trader.cancel(&id), unsent);
    assert_eq!(pass(&mut trader), unreachable("not connected"));

    let nonsense = vec![1, 0, 0, 0, 99];
    let long = u32::try_from(MESSAGE_MAX + 1)
        .unwrap()
        .to_le_bytes()
        .to_vec();
    let welcome = |mode| framed(&Reply::Welcome { mode });
    let late = framed(&Reply::Passed { call: 0 });
    let serving = serve(
        socket.clone(),
        vec![
            vec![framed(&Reply::Unwelcome("closed".to_owned()))],
            // It hangs up instead of greeting.
            vec![late.clone()],
            // Nonsense before the greeting, then the end where an answer should be.
            vec![
                [nonsense.clone(), welcome(Mode::Lockstep)].concat(),
                Vec::new(),
            ],
            // An answer of another call, nonsense, then a message without end.
            vec![
                welcome(Mode::Lockstep),
                [late.clone(), nonsense.clone(), long].concat(),
            ],
            vec![welcome(Mode::Lockstep), Vec::new()],
            // On its own clock: an answer to an earlier call, nonsense, and the end.
            vec![welcome(Mode::Own), [late, nonsense].concat()],
        ],
    );
    assert_eq!(
        connect(&mut trader),
        Err(LinkError::Refused("closed".to_owned()))
    );
    assert!(matches!(
        connect(&mut trader),
        Err(LinkError::Unreachable(_))
    ));
    connect(&mut trader).unwrap();
    assert_eq!(trader.cancel(&id), Answer::Unknown);
    let unreadable = "unreadable: [99]".to_owned();
    assert_eq!(
        heard.all(),
        [
            unreadable.clone(),
            "lost: unexpected end of file".to_owned()
        ]
    );
    connect(&mut trader).unwrap();
    assert_eq!(trader.query(&id), Found::Unknown);
    let too_long = format!(
        "lost: a message of {} bytes; at most {MESSAGE_MAX}",
        MESSAGE_MAX + 1
    );
    assert_eq!(heard.all()[2..], [unreadable.clone(), too_long]);
    connect(&mut trader).unwrap();
    assert_eq!(pass(&mut trader), unreachable("no answer to a pass"));
    connect(&mut trader).unwrap();
    assert_eq!(trader.cancel(&id), Answer::Unknown);
    serving.join().unwrap();
    let end = "lost: unexpected end of file".to_owned();
    // The thread that reads tells of the end after the call was answered.
    let begin = std::time::Instant::now();
    while heard.all().len() < 7 && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(heard.all()[4..], [end.clone(), unreadable, end]);
    trader.stop();

    // The books of something that is no exchange.
    for (said, says) in [
        (
            framed(&Reply::Passed { call: 7 }),
            "unexpected: Passed { call: 7 }",
        ),
        (vec![1, 0, 0, 0, 99], ""),
        (Vec::new(), "unexpected end of file"),
    ] {
        std::fs::remove_file(&socket).unwrap();
        let serving = serve(socket.clone(), vec![vec![said]]);
        let error = sim::dump(&socket).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        serving.join().unwrap();
    }
}

#[test]
fn a_call_after_the_end_of_the_connection_is_provably_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("exchange.sock");
    let welcome = framed(&Reply::Welcome {
        mode: Mode::Lockstep,
    });
    let names = vec!["X:A".to_owned()];
    let mut trader = RemoteTrader::new(&SimSettings::default(), socket.clone(), "a", names);
    let id = ClientOrderId::from("A").unwrap();
    let serving = serve(socket.clone(), vec![vec![welcome.clone()]]);
    let heard = Arc::new(Heard::default());
    trader
        .connect(Arc::clone(&heard) as Arc<dyn Reports>)
        .unwrap();
    // It has hung up.
    serving.join().unwrap();
    let unsent = Answer::NotSent(model::reason::Reason::TraderUnreachable);
    assert_eq!(trader.cancel(&id), unsent);
    assert!(
        heard.all()[0].starts_with("lost: Broken pipe"),
        "{:?}",
        heard.all()
    );

    // A host that takes no more reports ends the connection; what became of the call is not known.
    std::fs::remove_file(&socket).unwrap();
    let report = framed(&Reply::Report(exchange::Report {
        number: 1,
        client_order_id: id,
        kind: model::trader::ReportKind::Acknowledged,
        due: None,
    }));
    let serving = serve(socket, vec![vec![welcome, report]]);
    let full = Arc::new(Full(Heard::default()));
    trader
        .connect(Arc::clone(&full) as Arc<dyn Reports>)
        .unwrap();
    assert_eq!(trader.cancel(&id), Answer::Unknown);
    assert_eq!(full.0.all(), ["lost: the host takes no more reports"]);
    serving.join().unwrap();
}

#[test]
fn what_an_exchange_has_forgotten_at_its_restart_is_cancelled() {
    let all = model::Instruments::new(exchange::instruments()).unwrap();
    let id = ClientOrderId::from("A").unwrap();
    for is_resumed in [false, true] {
        let own = exchange::SharedExchange::new(1, 20, &all);
        let price = model::Price::from_int(2_450).unwrap();
        let last = [(model::InstrumentIdx(0), price)];
        let last = if is_resumed { &last[..] } else { &[] };
        own.resume(model::Timestamp(0), last);
        let mut trader = sim::LocalTrader::new(&SimSettings::default(), own, "a");
        let cancelled = BrokerReport {
            client_order_id: id,
            kind: model::trader::ReportKind::Cancelled(model::reason::Reason::SessionEnd),
            number: 0,
            due: None,
        };
        let wanted = if is_resumed {
            Found::Present(vec![cancelled])
        } else {
            Found::Absent
        };
        assert_eq!(trader.query(&id), wanted);
    }
}
