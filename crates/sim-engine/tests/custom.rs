//! Operations that bring their own arithmetic.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use offload::{
    Buffer, CustomWork, FailureKind, OffloadClient, OffloadError, Op, OpKind, Output, Request,
};
use sim_engine::{DeviceConfig, SimDevice, SoftwareEngine};

/// A running sum, or the sum of each piece by itself.
struct Sum {
    total: Mutex<u64>,
    repeatable: bool,
    carried_out: AtomicU32,
}

impl Sum {
    fn new(repeatable: bool) -> Arc<Sum> {
        Arc::new(Sum {
            total: Mutex::new(0),
            repeatable,
            carried_out: AtomicU32::new(0),
        })
    }

    fn request(self: &Arc<Sum>, data: &[u8]) -> Request {
        let op = Op::Custom {
            kind: OpKind::Rsa2048Sign,
            work: self.clone(),
        };
        Request::new(op, data.to_vec())
    }
}

impl CustomWork for Sum {
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind> {
        self.carried_out.fetch_add(1, Ordering::Relaxed);
        let mut total = self.total.lock().expect("nobody panics");
        if self.repeatable {
            *total = 0;
        }
        *total += data.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        *data = Buffer::new(total.to_le_bytes().to_vec());
        Ok(Output::None)
    }

    fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}

fn client(faults: &str) -> OffloadClient {
    let text = format!("name = 'sums'\n service_default = {{ fixed_ns = 2_000_000 }}\n{faults}");
    let config = DeviceConfig::from_toml(&text).expect("a device");
    OffloadClient::new(SimDevice::open(&config, 3).expect("it opens"))
}

#[test]
fn it_is_computed_once_in_order_and_in_the_device_s_time() {
    let client = client("");
    let sum = Sum::new(false);
    for n in 1..=20_u64 {
        let began = std::time::Instant::now();
        let response = client.run(sum.request(&[1])).expect("no faults");
        assert_eq!(response.data[..], n.to_le_bytes());
        assert!(
            began.elapsed() >= std::time::Duration::from_millis(2),
            "its service time"
        );
    }
    assert_eq!(sum.carried_out.load(Ordering::Relaxed), 20);
}

/// Its state would be of no use to the fallback if it had been carried out ahead of an answer that then failed.
#[test]
fn what_cannot_be_repeated_is_carried_out_only_for_an_answer() {
    let dying = "heartbeat = { period_ns = 2_000_000, misses = 1, restart_ns = 1_000_000 }\n\
                 [faults]\n death = 0.3\n error = 0.2";
    for repeatable in [false, true] {
        let client = client(dying).with_fallback(Arc::new(SoftwareEngine::new()));
        let sum = Sum::new(repeatable);
        for n in 1..=60_u64 {
            let expected = if repeatable { 1 } else { n };
            let request = sum.request(&[1]).with_id(n);
            let response = client.run(request).expect("there is a fallback");
            assert_eq!(response.data[..], expected.to_le_bytes());
        }
        assert!(client.stats().fell_back > 0);
        let carried_out = sum.carried_out.load(Ordering::Relaxed);
        assert!(if repeatable {
            carried_out >= 60
        } else {
            carried_out == 60
        });
    }
}

#[test]
fn a_device_that_gets_a_bit_wrong_gets_its_result_wrong() {
    let client = client("[faults]\n wrong = 1.0");
    let response = client
        .run(Sum::new(true).request(&[1, 2]))
        .expect("an answer");
    let wrong: u32 = response
        .data
        .iter()
        .zip(3_u64.to_le_bytes())
        .map(|(a, b)| (a ^ b).count_ones())
        .sum();
    assert_eq!(wrong, 1);
}

#[test]
fn what_it_refuses_comes_back() {
    struct No;
    impl CustomWork for No {
        fn carry_out(&self, _: &mut Buffer) -> Result<Output, FailureKind> {
            Err(FailureKind::BadRequest { reason: "no" })
        }
    }
    let op = Op::Custom {
        kind: OpKind::Sha256,
        work: Arc::new(No),
    };
    match client("").run(Request::new(op, vec![1, 2, 3])) {
        Err(OffloadError::Failed(failure)) => {
            assert_eq!(failure.kind, FailureKind::BadRequest { reason: "no" });
            assert_eq!(failure.request.expect("it comes back").data[..], [1, 2, 3]);
        }
        other => panic!("{other:?}"),
    }
}
