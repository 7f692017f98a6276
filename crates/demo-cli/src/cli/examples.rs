//! The examples at the end of each command's help. A test parses every one of them.

pub(crate) const PROGRAM: &str = "\
Examples:
  demo-cli bench --engine sim --jobs 1000
      a thousand jobs in flight, each way of being woken
  demo-cli sweep --jobs 1,8,64,512 --notify all --report out.html
      a page to look at
  demo-cli watch --device qat-c62x-1 --op rsa2048-sign --jobs 64 --results modelled
      a card at work, as it happens

'demo-cli COMMAND --help' has examples of each command.";

pub(crate) const BENCH: &str = "\
Examples:
  demo-cli bench --engine sim --jobs 1000
      a thousand jobs in flight, each way of being woken, two seconds each
  demo-cli bench --device qat-c62x-1 --op rsa2048-sign --jobs 1,8,16,64 --notify callback --results modelled
      how many jobs an RSA card takes to be busy
  demo-cli bench --clock virtual --device qat-c62x-1 --op rsa2048-sign --jobs 64 --total 100000
      the same in a virtual time: done at once, and each time the same
  demo-cli bench --device hsm-cloud --jobs 64 --notify callback --rate 500 --poisson
      an open loop: latency as callers see it who do not wait for each other
  demo-cli bench --runtime both --notify callback --duration 1s
      the same load on libcrypto's own ASYNC_JOB, in turn
  demo-cli bench --jobs 1000 --format json > new.json
      figures for 'demo-cli compare old.json new.json'";

pub(crate) const SWEEP: &str = "\
Examples:
  demo-cli sweep --jobs 1,8,64,512 --notify all --report out.html
      48 rows of two seconds, and a page to look at
  demo-cli sweep --notify callback,fd --sizes 64,1KiB,16KiB --duration 500ms
      callback against fd
  demo-cli sweep --device qat-c62x-1 --completion threads,poll,heuristic --duration 200ms
      who completes operations, and what polling costs";

pub(crate) const WATCH: &str = "\
Examples:
  demo-cli watch --device qat-c62x-1 --op rsa2048-sign --jobs 64 --results modelled
      an RSA card at its own pace, until q is pressed, or for a minute; without --results modelled
      this machine computes each signature, and is slower than the card
  demo-cli watch --device flaky --jobs 64 --rate 20000
      one that fails in every way
  demo-cli sweep --live --jobs 1,8,64,512 --notify all --report out.html
      the rows of a sweep as they run, and their page in the end";

pub(crate) const EXPLAIN: &str = "\
Examples:
  demo-cli bench --device qat-c62x-1 --jobs 200 --total 5000 --trace t.json
      write a trace
  demo-cli explain --trace t.json --op 17
      operation 17 of thread 0, from when it was due until its job went on
  demo-cli explain --trace t.json --op 2:17
      operation 17 of thread 2, where --threads was 3 or more
  demo-cli explain --trace t.json --slowest
      the operation that took longest
  demo-cli explain --trace t.json --job 3 --row fd
      what job 3 of the row 'fd' did";

pub(crate) const REPORT: &str = "\
Examples:
  demo-cli sweep --jobs 1,8,64 --notify all --format json > run.json
      figures, to be looked at later
  demo-cli report run.json --out run.html
      the page of them
  grep '^{\"schema\"' run.html > run.json
      and the figures out of a page";

pub(crate) const COMPARE: &str = "\
Examples:
  demo-cli compare old.json new.json
      what has changed between two results of 'bench --format json'
  demo-cli sweep --jobs 64,512 --notify callback,fd --repeat 5 --format json > new.json
      repeats, so that the spread is known
  demo-cli compare qat.json hsm.json --format csv > ratios.csv
      two devices, for a spreadsheet
  demo-cli compare base.json - --fail-above 1.1 < new.json
      for CI: exit status 1 if a row takes more than 1.1 times as long as in base.json
  demo-cli compare base.json new.json --fail-above 1.25 --figure p99,cpu
      the same by the tail of the latency, and by processor time";

pub(crate) const SIMULATE: &str = "\
Examples:
  demo-cli simulate --seeds 0..100000
      a hundred thousand random applications on a faulty device
  demo-cli simulate --seed 48 --trace
      one of them, event by event
  demo-cli simulate --seeds 0..50000 --format json > a.json
      half of a campaign; the other half may run elsewhere
  demo-cli simulate --merge a.json b.json
      both
  demo-cli simulate --seeds 0..10000 --report campaign.html
      the result as a page, with the trace of a seed that fails";

pub(crate) const DIGEST: &str = "\
Examples:
  demo-cli digest README.md Cargo.lock
      the same as sha256sum README.md Cargo.lock
  demo-cli digest --op sha512 --device qat-c62x-1 big.iso
      the same as sha512sum, through a device";

pub(crate) const ENCRYPT: &str = "\
Examples:
  demo-cli encrypt in.txt --op aes-256-ctr --key-file key.hex --iv 000102030405060708090a0b0c0d0e0f --out in.enc
      the same as openssl enc -aes-256-ctr
  demo-cli encrypt in.enc --op aes-256-ctr --key-file key.hex --iv 000102030405060708090a0b0c0d0e0f --decrypt
      and back, to standard output";

pub(crate) const DEVICES: &str = "\
Examples:
  demo-cli devices
      those that ship
  demo-cli devices --show qat-c62x-1 > mine.toml
      a file to start from
  demo-cli devices --check mine.toml
      what is wrong with it";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  demo-cli completions bash > ~/.local/share/bash-completion/completions/demo-cli";

pub(crate) const MAN: &str = "\
Examples:
  demo-cli man bench | man -l -";
