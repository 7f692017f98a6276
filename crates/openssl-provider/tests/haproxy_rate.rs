//! What pausing is for: with `ssl-mode-async` one thread of HAProxy makes several times the handshakes. Alone in its
//! file, so that no other test takes the processor meanwhile.

mod common;
mod servers;

use common::{Host, Jobs, count};
use servers::{Certificate, Clients, Handshakes, Haproxy, Wish, has_haproxy_and_clients};

/// The device, and how many times as many there must be.
const DEVICES: [(&str, u64); 2] = [
    // Twenty milliseconds for an operation: far away, so that the processor is idle most of the time.
    (
        "device = hsm-cloud\ndevice_with = link = { fixed_ns = 9_000_000 }",
        4,
    ),
    // As it is, three milliseconds: two processors, which do the clients' part too, are busy at about four times.
    ("device = hsm-cloud", 1),
];

#[test]
fn several_times_the_handshakes_of_a_haproxy_that_does_not_pause() {
    if !has_haproxy_and_clients() {
        return;
    }
    let certificate = Certificate::new("RSA");
    for jobs in Jobs::BOTH {
        for (device, times) in DEVICES {
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
    let mut made = [Handshakes::default(); 2];
    for _ in 0..3 {
        for ((_, haproxy), made) in sides.iter().zip(&mut made) {
            let now = clients.run(haproxy.port, certificate);
            made.good += now.good;
            made.bad += now.bad;
        }
    }
    let [waiting, pausing] = made;
    let device_line = device.replace('\n', ", ");
    println!(
        "{jobs:?}, {device_line}: {} without pauses, {} with: {:.1} times",
        waiting.good,
        pausing.good,
        pausing.good as f64 / waiting.good.max(1) as f64
    );
    assert_eq!((waiting.bad, pausing.bad), (0, 0));
    assert!(
        waiting.good > 0 && pausing.good > times * waiting.good,
        "{jobs:?}, {device}: {waiting:?} {pausing:?}"
    );
    let [without, with] = sides.map(|(host, haproxy)| {
        haproxy.stop();
        host.counts()
    });
    assert_eq!(count(&without, "pauses"), 0, "{without}");
    // On a busy machine some answers are there before their pause, milliseconds later.

    assert!(2 * count(&with, "pauses") > pausing.good, "{with}");
}
