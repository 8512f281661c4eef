//! Mutated requests on the control socket.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::World;
use crate::mutation::mutate;
use crate::process::PATIENCE;
use crate::running::{Running, status, until};
use crate::{Count, cases};

/// Sends bytes, ends the sending side, and reads what comes back until the other side hangs up.
pub fn send(socket: &Path, bytes: &[u8], name: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|e| panic!("{name}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A side that has heard enough may close before all is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let is_silent = matches!(
            error.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        );
        assert!(!is_silent, "{name}: it neither answers nor hangs up");
    }
    answer
}

#[test]
fn a_mutated_request_is_answered_and_the_session_goes_on() {
    const REQUESTS: [&str; 9] = [
        r#"{"request":"status"}"#,
        r#"{"request":"history","by_minute":true}"#,
        r#"{"request":"letter","owner":"paper","id":"0000000000000000","action":"replay"}"#,
        r#"{"request":"command","brokers":["paper"],"action":"reduce_only"}"#,
        r#"{"request":"command","brokers":[],"action":"resume"}"#,
        r#"{"request":"command","brokers":["paper"],"action":"disable_strategy","strategy":"trend"}"#,
        r#"{"request":"command","brokers":["paper"],"action":"cancel_order","order":"00000000000000000000"}"#,
        r#"{"request":"command","brokers":["paper"],"action":"square_off","instrument":"DEMO:TEAK","strategy":null}"#,
        r#"{"request":"command","brokers":["paper"],"action":"resolve_order","order":"00000000000000000000","resolution":"filled","quantity":"1","price":"100.05"}"#,
    ];
    let world = World::new();
    let running = Running::start(&world, &["run"]);
    until("it listens", Duration::from_secs(20), || {
        status(&world, "data").is_some()
    });
    let socket = world.path("data/control.sock");
    let (mut answered, mut closed) = (0, 0);
    cases(
        "requests::a_mutated_request_is_answered_and_the_session_goes_on",
        &Count::Mutations,
        15,
        |random, name| {
            let request = REQUESTS[random.below(REQUESTS.len() as u64) as usize];
            let mut line = mutate(random, request.as_bytes());
            line.push(b'\n');
            let answer = send(&socket, &line, name);
            let shown = String::from_utf8_lossy(&line);
            if answer.is_empty() {
                // Only where the line is no text.
                assert!(
                    std::str::from_utf8(&line).is_err(),
                    "{name}: {shown}: no answer"
                );
                closed += 1;
            }
            for line in answer
                .split(|b| *b == b'\n')
                .filter(|line| !line.is_empty())
            {
                serde_json::from_slice::<serde_json::Value>(line)
                    .unwrap_or_else(|error| panic!("{name}: {shown}: {error}"));
                answered += 1;
            }
            assert!(status(&world, "data").is_some(), "{name}: {shown}");
        },
    );
    println!("requests: {answered} answered, {closed} closed");
    running.signal(Signal::TERM);
    let (code, said) = running.end(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
