//! An event loop that waits on fds, as OpenSSL programs do: epoll over sockets and, beside each, the
//! wait fd of its connection's job: `cargo run --example event_loop_fd`.
//!
//! A small server: clients send messages, and each gets back the SHA-256 of what it sent, computed by
//! the simulated device. `event_loop_callback` is the same program with callbacks.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use async_core::{Job, JobOutcome, start_job};
use offload::{OffloadClient, OffloadError, Op, Request, Response};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use sim_engine::{DeviceConfig, SimDevice};
use waitctx::WaitCtx;

const CONNECTIONS: usize = 24;
const ROUNDS: usize = 20;
/// Bytes of a message and of an answer.
const MESSAGE: usize = 1024;
const DIGEST: usize = 32;

type WaitFd = Arc<dyn AsFd + Send + Sync>;
type Answer = Result<Response, OffloadError>;
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

struct Connection {
    socket: UnixStream,
    /// What has come and was not worked on yet.
    inbox: Vec<u8>,
    open: bool,
    /// One for the life of the connection: its wake fd is made once and used again and again.
    ctx: WaitCtx,
    /// Its wait fds that are in the epoll set. Held, so that none is closed in there and its number
    /// cannot become another connection's socket.
    watched: Vec<WaitFd>,
    /// The job, while it is paused.
    job: Option<Job<Answer>>,
    answered: usize,
}

struct Server {
    epoll: OwnedFd,
    client: OffloadClient,
    connections: Vec<Connection>,
}

/// What an event says: which connection, and whether it is its socket or its wait fd.
fn token(at: usize, is_wait_fd: bool) -> EventData {
    EventData::new_u64(at as u64 * 2 + u64::from(is_wait_fd))
}

impl Server {
    fn run(&mut self) -> Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; 64];
        // A connection is over when its client has gone and its last answer is out.
        while self.connections.iter().any(|c| c.open || c.job.is_some()) {
            let (ready, _) = epoll::wait(&self.epoll, &mut events, None)?;
            for event in ready {
                let token = event.data.u64();
                let at = (token / 2) as usize;
                if token % 2 == 0 {
                    self.on_socket(at)?;
                } else {
                    self.on_wait_fd(at)?;
                }
            }
        }
        Ok(())
    }

    /// The client has sent something, or has gone.
    fn on_socket(&mut self, at: usize) -> Result<()> {
        let connection = &mut self.connections[at];
        let mut bytes = [0; 4 * MESSAGE];
        match connection.socket.read(&mut bytes) {
            Ok(0) => {
                connection.open = false;
                epoll::delete(&self.epoll, &connection.socket)?;
            }
            Ok(len) => connection.inbox.extend(&bytes[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // Programs with OpenSSL call SSL_read or SSL_do_handshake now, which resumes the job although
        // the device has not answered. It looks, finds nothing, and pauses again.
        self.go_on(at)
    }

    /// The device says that the job can go on.
    fn on_wait_fd(&mut self, at: usize) -> Result<()> {
        let connection = &self.connections[at];
        if connection.job.is_none() {
            // The wake of an answer that an early resume has found already. Nobody else reads it,
            // and an fd that stays readable would be reported for ever.
            connection.ctx.acknowledge()?;
            return Ok(());
        }
        self.go_on(at)
    }

    /// Resumes the connection's job, or starts one, as far as it goes.
    fn go_on(&mut self, at: usize) -> Result<()> {
        loop {
            let connection = &mut self.connections[at];
            let outcome = match connection.job.take() {
                Some(job) => job.resume(),
                None if connection.inbox.len() >= MESSAGE => {
                    let message: Vec<u8> = connection.inbox.drain(..MESSAGE).collect();
                    let client = self.client.clone();
                    // Straight-line code; it pauses in `run` until the device has answered.
                    let job = move || client.run(Request::new(Op::Sha256, message));
                    start_job(&connection.ctx, job).map_err(|error| error.to_string())?
                }
                None => return Ok(()),
            };
            match outcome {
                JobOutcome::Paused(job) => {
                    connection.job = Some(job);
                    return self.follow(at);
                }
                JobOutcome::Finished(answer) => {
                    let response = answer?;
                    let digest = response.digest().ok_or("not a digest")?;
                    // It fits: the client reads before it sends more.
                    connection.socket.write_all(digest)?;
                    connection.answered += 1;
                }
            }
        }
    }

    /// After each pause: which wait fds came and went since the job was last resumed. With our
    /// engines there is one, made at the first pause; an engine may bring its own.
    fn follow(&mut self, at: usize) -> Result<()> {
        let Connection { ctx, watched, .. } = &mut self.connections[at];
        if !ctx.has_changes() {
            return Ok(());
        }
        let changes = ctx.changes();
        let number = |fd: &WaitFd| fd.as_fd().as_raw_fd();
        // Those that went first: a number can have come back as another fd.
        for fd in watched.extract_if(.., |fd| changes.removed.contains(&number(fd))) {
            epoll::delete(&self.epoll, &fd)?;
        }
        for fd in ctx.owned_fds() {
            // The record lasts until the next resume, so the same fd can be met twice.
            let known = watched.iter().any(|known| Arc::ptr_eq(known, &fd));
            if changes.added.contains(&number(&fd)) && !known {
                epoll::add(&self.epoll, &fd, token(at, true), EventFlags::IN)?;
                watched.push(fd);
            }
        }
        Ok(())
    }
}

/// The clients: two messages at once on each connection, then the two answers.
fn clients(mut sockets: Vec<UnixStream>) -> Result<usize> {
    let mut right = 0;
    for round in 0..ROUNDS {
        let message = |at, which| vec![(at * 7 + round * 2 + which) as u8; MESSAGE];
        for (at, socket) in sockets.iter_mut().enumerate() {
            socket.write_all(&message(at, 0))?;
            socket.write_all(&message(at, 1))?;
        }
        for (at, socket) in sockets.iter_mut().enumerate() {
            for which in [0, 1] {
                let mut answer = [0; DIGEST];
                socket.read_exact(&mut answer)?;
                let request = Request::new(Op::Sha256, message(at, which));
                let software = sim_engine::compute::compute(request)?;
                right += usize::from(software.digest() == Some(&answer));
            }
        }
    }
    Ok(right)
}

fn main() -> Result<()> {
    let config = DeviceConfig::preset("qat-c62x-1").ok_or("no such preset")?;
    let device = SimDevice::open(&config, 1)?;
    let mut server = Server {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        client: OffloadClient::new(device.clone()),
        connections: Vec::new(),
    };
    let mut theirs = Vec::new();
    for at in 0..CONNECTIONS {
        let (socket, client) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        epoll::add(&server.epoll, &socket, token(at, false), EventFlags::IN)?;
        server.connections.push(Connection {
            socket,
            inbox: Vec::new(),
            open: true,
            ctx: WaitCtx::new(),
            watched: Vec::new(),
            job: None,
            answered: 0,
        });
        theirs.push(client);
    }
    let clients = thread::spawn(move || clients(theirs));
    server.run()?;
    let right = clients.join().map_err(|_| "the clients panicked")??;

    let answered: usize = server.connections.iter().map(|c| c.answered).sum();
    let early = server.client.stats().resumed_early;
    println!("{answered} answers on {CONNECTIONS} connections, {right} of them right");
    println!("{early} early resumes, which did no harm");
    let counters = device.shutdown().counters;
    if right != 2 * ROUNDS * CONNECTIONS || !counters.balance() {
        return Err(format!("something is wrong: {counters:?}").into());
    }
    Ok(())
}
