//! Mutated frames on the socket of the simulated exchange.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::World;
use crate::market::Random;
use crate::mutation::mutate;
use crate::requests::send;
use crate::running::{Running, replay_world, until};
use crate::{Count, cases};

fn exchange(world: &World, socket: &str) -> (Running, PathBuf) {
    let args = ["exchange", "serve", "--socket", socket, "--lockstep"];
    let running = Running::start(world, &args);
    let path = world.path(socket);
    until("the exchange is open", Duration::from_secs(20), || {
        sim::dump(&path).is_ok()
    });
    (running, path)
}

/// The frames that a session sends to an exchange over a day: what passes is noted on its way.
fn recorded(world: &World) -> Vec<Vec<u8>> {
    let (running, exchange) = exchange(world, "exchange.sock");
    let proxy = UnixListener::bind(world.path("proxy.sock")).unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&noted);
    // It ends with the process: one waiting connection is all that it holds.
    std::thread::spawn(move || {
        for client in proxy.incoming() {
            let (Ok(mut client), Ok(mut server)) = (client, UnixStream::connect(&exchange)) else {
                return;
            };
            let (mut back, mut from) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                note.lock().unwrap().extend_from_slice(&buffer[..count]);
                if server.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = server.shutdown(Shutdown::Both);
        }
    });
    let args = [
        "--config",
        "live.toml",
        "--brokers",
        "sim",
        "--data-dir",
        "data",
    ];
    world.ok(&[&["run"], args.as_slice()].concat());
    drop(running);
    let bytes = noted.lock().unwrap().clone();
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let len = 4 + u32::from_le_bytes(*head) as usize;
        let Some((frame, more)) = rest.split_at_checked(len) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = more;
    }
    frames
}

/// Most of what passes is market data: one frame of each length is enough of it.
fn kinds(frames: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    let mut seen = BTreeSet::new();
    frames
        .iter()
        .filter(|frame| seen.insert((frame.len(), frame.get(4).copied())))
        .collect()
}

fn mutated_frame(random: &mut Random, frame: &[u8]) -> Vec<u8> {
    if random.below(4) == 0 {
        // The length too.
        return mutate(random, frame);
    }
    let body = mutate(random, &frame[4..]);
    let mut whole = (body.len() as u32).to_le_bytes().to_vec();
    whole.extend(body);
    whole
}

#[test]
fn a_mutated_frame_ends_its_connection_at_most() {
    let world = replay_world(
        1,
        "\n[trading_engine.sim]\nstarting_cash = { INR = 1000000 }\nconnect = \"unix:proxy.sock\"\ndelivery = \"idempotent\"\n",
    );
    let frames = recorded(&world);
    let kinds = kinds(&frames);
    assert!(kinds.len() > 3, "{} kinds of frames", kinds.len());
    let (running, socket) = exchange(&world, "attacked.sock");
    cases(
        "frames::a_mutated_frame_ends_its_connection_at_most",
        &Count::Mutations,
        15,
        |random, name| {
            // Every other time behind a sound greeting.
            let mut bytes = Vec::new();
            if random.below(2) == 0 {
                bytes.extend_from_slice(&frames[0]);
            }
            for _ in 0..=random.below(4) {
                let frame = kinds[random.below(kinds.len() as u64) as usize];
                bytes.extend(mutated_frame(random, frame));
            }
            send(&socket, &bytes, name);
            let dumped = sim::dump(&socket);
            assert!(dumped.is_ok(), "{name}: {dumped:?}: {bytes:?}");
        },
    );
    running.signal(Signal::TERM);
    let (code, said) = running.end(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
