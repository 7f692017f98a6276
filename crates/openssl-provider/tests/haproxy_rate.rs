//! What pausing is for: with `ssl-mode-async` one thread of HAProxy makes several times the handshakes. Alone in its
//! file, so that no other test takes the processor meanwhile.

mod common;
mod servers;

use common::{Host, Jobs};
use servers::{Certificate, Clients, Handshakes, Haproxy, Wish, has_haproxy_and_clients};

#[test]
fn four_times_the_handshakes_of_a_haproxy_that_does_not_pause() {
    if !has_haproxy_and_clients() {
        return;
    }
    let certificate = Certificate::new("RSA");
    for jobs in Jobs::BOTH {
        let sides = [false, true].map(|pausing| {
            let host = Host::new(jobs, "device = hsm-cloud");
            let wish = Wish {
                pausing,
                ..Wish::PAUSING
            };
            let haproxy = Haproxy::start(&host, &certificate, wish);
            (host, haproxy)
        });
        let mut made = [Handshakes::default(); 2];
        // They take turns, so that whatever else the machine does meets both.
        for _ in 0..3 {
            for ((_, haproxy), made) in sides.iter().zip(&mut made) {
                let clients = Clients {
                    versions: "1.2",
                    mode: "shake",
                    at_once: 16,
                    seconds: 1.0,
                };
                let now = clients.run(haproxy.port, &certificate);
                made.good += now.good;
                made.bad += now.bad;
            }
        }
        let [waiting, pausing] = made;
        println!("{jobs:?}: {waiting:?} without pauses, {pausing:?} with");
        assert_eq!((waiting.bad, pausing.bad), (0, 0));
        assert!(
            pausing.good >= 4 * waiting.good,
            "{jobs:?}: {waiting:?} {pausing:?}"
        );
        let [without, with] = sides.map(|(host, haproxy)| {
            haproxy.stop();
            host.counts()
        });
        assert_eq!(common::count(&without, "pauses"), 0, "{without}");
        assert!(common::count(&with, "pauses") >= pausing.good, "{with}");
    }
}
