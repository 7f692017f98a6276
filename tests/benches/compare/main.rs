//! How fast ours are beside the others: `cargo bench`, or `cargo bench -- WORD` for the lines with
//! that word in their name.
//!
//! The others are libcrypto's own jobs, tokio's tasks, and no offload at all. All sides of a line
//! take turns in interleaved rounds of one process, or in processes that take turns where memory is
//! touched for the first time. Absolute times drift with the machine; the ratios are taken round by
//! round, so they hold. Each line gives both medians, the ratio as median [least–most] over the
//! rounds, and the bound it is to keep to, where there is one. Nothing fails for being slow.

mod bare;
mod fresh;
mod harness;
mod paused;
mod switches;
mod whole_path;

use std::env;
use std::process::ExitCode;

use async_core::PoolConfig;
use bare::bare;
use harness::Table;
use libcrypto_peer::{JOB_STACK_BYTES, Libcrypto};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let config = PoolConfig {
        stack_bytes: JOB_STACK_BYTES,
        ..PoolConfig::default()
    };
    async_core::init_thread(&config).expect("a pool");
    if words.first().is_some_and(|word| word == fresh::CHILD) {
        return fresh::child(&words[1..]);
    }
    let peer = match Libcrypto::load() {
        Ok(peer) => {
            println!("libcrypto is {}", peer.version());
            Some(peer)
        }
        Err(e) => {
            println!("without libcrypto, skipped: {e}");
            None
        }
    };
    println!(
        "all stacks have {} KiB; ours have guard pages",
        JOB_STACK_BYTES / 1024
    );
    // Cargo passes --bench.
    let mut table = Table::new(words.into_iter().find(|word| !word.starts_with("--")));
    let raw = peer.as_ref().map(bare);
    switches::run(raw.as_ref(), &mut table);
    whole_path::run(peer, &mut table);
    paused::run(raw.as_ref(), &mut table);
    fresh::run(peer.is_some(), &mut table);
    table.end();
    ExitCode::SUCCESS
}
