//! What pausing is for: with `ssl-mode-async` one thread of HAProxy makes several times the handshakes. Alone in its
//! file, so that no other test takes the processor meanwhile.

mod common;
mod servers;

use common::{Host, Jobs, count};
use servers::{Certificate, Clients, Handshakes, Haproxy, Wish, has_haproxy_and_clients};

/// The device, the server's key, and how many times as many there must be.
const DEVICES: [(&str, &str, u64); 2] = [
    // Twenty milliseconds away, and a key that costs little: the processor is idle most of the time.
    (
        "device = hsm-cloud\ndevice_with = link = { fixed_ns = 9_000_000 }",
        "P-256",
        4,
    ),
    // As it is, three milliseconds: two processors, which do the clients' part too, are busy at about four times.
    ("device = hsm-cloud", "RSA", 1),
];

/// Rounds until there are as many as there must be: what else the machine does can only make it fewer.
const ROUNDS_MAX: u32 = 10;

#[test]
fn several_times_the_handshakes_of_a_haproxy_that_does_not_pause() {
    if !has_haproxy_and_clients() {
        return;
    }
    for (device, key, times) in DEVICES {
        let certificate = Certificate::new(key);
        for jobs in Jobs::BOTH {
            compare(jobs, device, times, &certificate);
        }
    }
}

/// A HAProxy that pauses and one that does not take turns, so that whatever else the machine does meets both.
#[track_caller]
fn compare(jobs: Jobs, device: &str, times: u64, certificate: &Certificate) {
    let sides = [false, true].map(|pausing| {
        let host = Host::new(jobs, device);
        let wish = Wish {
            pausing,
            ..Wish::PAUSING
        };
        let haproxy = Haproxy::start(&host, certificate, wish);
        (host, haproxy)
    });
    let clients = Clients {
        versions: "1.2",
        mode: "shake",
        at_once: 16,
        seconds: 1.0,
    };
    let mut all = 0;
    let mut best = [Handshakes::default(); 2];
    for _ in 0..ROUNDS_MAX {
        let round = [0, 1].map(|side| clients.run(sides[side].1.port, certificate));
        assert_eq!((round[0].bad, round[1].bad), (0, 0));
        assert!(round[0].good > 0, "{round:?}");
        all += round[1].good;
        if best[0].good == 0 || round[1].good * best[0].good > best[1].good * round[0].good {
            best = round;
        }
        if best[1].good >= times * best[0].good && all > 1000 {
            break;
        }
    }
    let [waiting, pausing] = best;
    let device_line = device.replace('\n', ", ");
    println!(
        "{jobs:?}, {device_line}: {} without pauses, {} with: {:.1} times",
        waiting.good,
        pausing.good,
        pausing.good as f64 / waiting.good.max(1) as f64
    );
    assert!(
        pausing.good >= times * waiting.good,
        "{jobs:?}, {device}: {waiting:?} {pausing:?}"
    );
    let [without, with] = sides.map(|(host, haproxy)| {
        haproxy.stop();
        host.counts()
    });
    assert_eq!(count(&without, "pauses"), 0, "{without}");
    // On a busy machine some answers are there before their pause, milliseconds later.

    assert!(2 * count(&with, "pauses") > all, "{with}");
}
