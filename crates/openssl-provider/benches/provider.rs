//! What a host pays for OpenSSL between it and the device: `openssl speed` on the provider, beside the same
//! device and the same computation under our own jobs, in runs that take turns.
//!
//! Nothing here asserts on time. `-- WORD` prints the lines with that word.

#[path = "../tests/common/mod.rs"]
mod common;

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_core::{JobSet, WakeBy};
use common::{Host, Jobs, plain, stdout, succeed};
use libloading::Library;
use offload::{Buffer, CustomWork, FailureKind, OffloadClient, Op, OpKind, Output, Request};
use sim_engine::{DeviceConfig, SimDevice};

const ROUNDS: usize = 5;
const SIZE: usize = 16 * 1024;
const JOBS: usize = 8;

fn main() -> ExitCode {
    if !common::has_openssl() {
        return ExitCode::SUCCESS;
    }
    let word = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wanted = |name: &str| {
        word.as_ref()
            .is_none_or(|word| name.contains(word.as_str()))
    };
    println!(
        "\n{ROUNDS} rounds of processes that take turns, medians; a round's ratios [least-most]"
    );

    println!(
        "\nrsa2048, {JOBS} jobs, two workers: signatures a second, against one after the other without the provider"
    );
    for jobs in Jobs::BOTH {
        let name = format!("rsa2048 {jobs:?}");
        if wanted(&name) {
            let host = Host::new(jobs, "workers = 2");
            let rounds = rounds(|| rsa(Some(&host)), || rsa(None));
            line(&name, "/s", &rounds, "at least 1.7");
        }
    }

    println!(
        "\n{SIZE} bytes, {JOBS} jobs, one worker: µs an operation, against the same device under our own jobs"
    );
    for algorithm in ["sha256", "aes-128-cbc", "aes-128-ctr", "aes-128-gcm"] {
        for jobs in Jobs::BOTH {
            let name = format!("{algorithm} {jobs:?}");
            if wanted(&name) {
                let host = Host::new(jobs, "");
                let rounds = rounds(|| speed(Some(&host), algorithm), || without(algorithm));
                line(&name, "µs", &rounds, "at most 1.3");
            }
        }
        let name = format!("{algorithm}, computing alone");
        if wanted(&name) {
            let rounds = rounds(|| without(algorithm), || alone(algorithm));
            line(
                &format!("{algorithm}: our own jobs to computing alone"),
                "µs",
                &rounds,
                "",
            );
        }
    }
    ExitCode::SUCCESS
}

fn rounds(one: impl Fn() -> f64, other: impl Fn() -> f64) -> Vec<[f64; 2]> {
    (0..ROUNDS)
        .map(|round| {
            // So that what comes first has no advantage.
            if round % 2 == 0 {
                let one = one();
                [one, other()]
            } else {
                let other = other();
                [one(), other]
            }
        })
        .collect()
}

fn line(name: &str, unit: &str, rounds: &[[f64; 2]], bound: &str) {
    let sorted = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (one, other) = (sorted(&|r| r[0]), sorted(&|r| r[1]));
    let ratios = sorted(&|r| r[0] / r[1]);
    let middle = ROUNDS / 2;
    println!(
        "{name:<40} {:>10.1} {unit} {:>10.1} {unit} {:>6.2} [{:.2}-{:.2}] {bound}",
        one[middle],
        other[middle],
        ratios[middle],
        ratios[0],
        ratios[ROUNDS - 1],
    );
}

/// The last line that `openssl speed` prints, in words.
fn run_speed(host: Option<&Host>, args: &[&str]) -> Vec<String> {
    let mut command = host.map_or_else(|| plain("openssl"), |host| host.command("openssl"));
    command
        .args(["speed", "-elapsed", "-seconds", "1"])
        .args(args);
    let printed = stdout(&succeed(command.stdin(Stdio::null())));
    let last = printed.lines().last().unwrap_or_default();
    last.split_whitespace().map(str::to_owned).collect()
}

/// Signatures a second.
fn rsa(host: Option<&Host>) -> f64 {
    let (in_flight, args) = (JOBS.to_string(), ["rsa2048"]);
    let with_jobs = ["-async_jobs", &in_flight, "rsa2048"];
    let words = run_speed(host, if host.is_some() { &with_jobs } else { &args });
    words[5].parse().expect("signatures a second")
}

/// Microseconds an operation.
fn speed(host: Option<&Host>, algorithm: &str) -> f64 {
    let (size, in_flight) = (SIZE.to_string(), JOBS.to_string());
    let words = run_speed(
        host,
        &[
            "-bytes",
            &size,
            "-async_jobs",
            &in_flight,
            "-evp",
            algorithm,
        ],
    );
    let thousands: f64 = words[1]
        .trim_end_matches('k')
        .parse()
        .expect("bytes a second");
    SIZE as f64 / thousands * 1e3
}

// ---- the same computation, without OpenSSL's jobs, methods and providers in between ------------------

type Ptr = *mut c_void;

/// libcrypto's functions that compute.
struct Libcrypto {
    library: Library,
}

impl Libcrypto {
    fn open() -> Libcrypto {
        // SAFETY: libcrypto's initialisers may run in any program.
        let library = unsafe { Library::new("libcrypto.so.3") }.expect("openssl has it");
        Libcrypto { library }
    }

    /// # Safety
    ///
    /// `F` is the type of the function.
    unsafe fn get<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: the caller's.
        *unsafe { self.library.get::<F>(name.to_bytes_with_nul()) }.expect("OpenSSL 3 has it")
    }
}

/// One algorithm, in a context that is set up.
struct Computation {
    context: Ptr,
    digest: Option<Ptr>,
    init: unsafe extern "C" fn(Ptr, Ptr, *const c_void) -> c_int,
    update: unsafe extern "C" fn(Ptr, *const c_void, usize) -> c_int,
    finish: unsafe extern "C" fn(Ptr, *mut c_uchar, *mut c_uint) -> c_int,
    cipher: unsafe extern "C" fn(Ptr, *mut c_uchar, *mut c_int, *const c_uchar, c_int) -> c_int,
    out: Vec<u8>,
}

// SAFETY: used by one thread at a time, under a lock.
unsafe impl Send for Computation {}

impl Computation {
    fn new(algorithm: &str) -> Computation {
        let libcrypto = Box::leak(Box::new(Libcrypto::open()));
        let name = std::ffi::CString::new(algorithm).expect("no zero in it");
        type Fetch = unsafe extern "C" fn(Ptr, *const c_char, *const c_char) -> Ptr;
        type Make = unsafe extern "C" fn() -> Ptr;
        type Init =
            unsafe extern "C" fn(Ptr, Ptr, *const u8, *const u8, c_int, *const c_void) -> c_int;
        let none = std::ptr::null_mut();
        // SAFETY: the types are those of OpenSSL 3's evp.h; keys and vectors are as long as the longest.
        unsafe {
            let (digest, context) = if algorithm.starts_with("sha") {
                let fetch: Fetch = libcrypto.get(c"EVP_MD_fetch");
                let make: Make = libcrypto.get(c"EVP_MD_CTX_new");
                (Some(fetch(none, name.as_ptr(), std::ptr::null())), make())
            } else {
                let fetch: Fetch = libcrypto.get(c"EVP_CIPHER_fetch");
                let make: Make = libcrypto.get(c"EVP_CIPHER_CTX_new");
                let init: Init = libcrypto.get(c"EVP_CipherInit_ex2");
                let cipher = fetch(none, name.as_ptr(), std::ptr::null());
                let context = make();
                let (key, iv) = ([7_u8; 32], [9_u8; 16]);
                assert_eq!(init(context, cipher, key.as_ptr(), iv.as_ptr(), 1, none), 1);
                (None, context)
            };
            Computation {
                context,
                digest,
                init: libcrypto.get(c"EVP_DigestInit_ex2"),
                update: libcrypto.get(c"EVP_DigestUpdate"),
                finish: libcrypto.get(c"EVP_DigestFinal_ex"),
                cipher: libcrypto.get(c"EVP_EncryptUpdate"),
                out: vec![0; SIZE + 64],
            }
        }
    }

    fn run(&mut self, data: &[u8]) {
        // SAFETY: a context that was set up; there is room for the result.
        let done = unsafe {
            match self.digest {
                Some(digest) => {
                    let mut len = 0;
                    (self.init)(self.context, digest, std::ptr::null())
                        & (self.update)(self.context, data.as_ptr().cast(), data.len())
                        & (self.finish)(self.context, self.out.as_mut_ptr(), &mut len)
                }
                None => {
                    let mut len = 0;
                    let (out, size) = (self.out.as_mut_ptr(), data.len() as c_int);
                    (self.cipher)(self.context, out, &mut len, data.as_ptr(), size)
                }
            }
        };
        assert_eq!(done, 1);
    }
}

struct Work(Mutex<Computation>);

impl CustomWork for Work {
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind> {
        self.0.lock().expect("nobody panics").run(data);
        Ok(Output::None)
    }
}

const LONG: Duration = Duration::from_millis(500);

/// On the same device, under our own jobs that wait for an fd each: µs an operation.
fn without(algorithm: &str) -> f64 {
    let config = DeviceConfig::preset("ideal").expect("a preset");
    let device = SimDevice::open(&config, 0).expect("a device");
    let client = OffloadClient::new(device.clone());
    let kind = OpKind::from_name(algorithm).expect("a kind of the device's");
    let works: Vec<_> = (0..JOBS)
        .map(|_| Arc::new(Work(Mutex::new(Computation::new(algorithm)))))
        .collect();
    let mut set = JobSet::<u64>::new(JOBS, WakeBy::Fd).expect("a set of jobs");
    let began = Instant::now();
    for work in works {
        let client = client.clone();
        let job = move || {
            let mut data = Buffer::new(vec![1; SIZE]);
            let mut ops = 0;
            while began.elapsed() < LONG {
                let op = Op::Custom {
                    kind,
                    work: work.clone(),
                };
                data = client.run(Request::new(op, data)).expect("no faults").data;
                ops += 1;
            }
            ops
        };
        assert!(set.start(0, job).is_ok());
    }
    let mut ops = 0;
    while !set.is_empty() {
        set.turn(Some(Duration::from_secs(1)), |_, done| ops += done)
            .expect("a turn");
    }
    began.elapsed().as_secs_f64() * 1e6 / ops as f64
}

/// With nothing in between: µs an operation.
fn alone(algorithm: &str) -> f64 {
    let mut computation = Computation::new(algorithm);
    let data = vec![1; SIZE];
    let (began, mut ops) = (Instant::now(), 0_u32);
    while began.elapsed() < LONG {
        computation.run(&data);
        ops += 1;
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(ops)
}
