//! An event loop that is told by callbacks: the engine's thread puts the connection into a queue, and
//! wakes the loop only if it sleeps: `cargo run --example event_loop_callback`.
//!
//! A small server: clients send messages, and each gets back the SHA-256 of what it sent, computed by
//! the simulated device. `event_loop_fd` is the same program with an fd for each connection.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

use async_core::{Job, JobOutcome, start_job};
use offload::{OffloadClient, OffloadError, Op, Request, Response};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use sim_engine::{DeviceConfig, SimDevice};
use waitctx::{ReadyQueue, WaitCtx};

const CONNECTIONS: usize = 24;
const ROUNDS: usize = 20;
/// Bytes of a message and of an answer.
const MESSAGE: usize = 1024;
const DIGEST: usize = 32;

type Answer = Result<Response, OffloadError>;
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

struct Connection {
    socket: UnixStream,
    /// What has come and was not worked on yet.
    inbox: Vec<u8>,
    open: bool,
    /// One for the life of the connection. Its callback is the server's queue; it has no fd.
    ctx: WaitCtx,
    /// The job, while it is paused.
    job: Option<Job<Answer>>,
    answered: usize,
}

struct Server {
    epoll: OwnedFd,
    /// Where callbacks put the connections whose jobs can go on. One fd for all of them, which is
    /// written to only when the loop sleeps.
    ///
    /// A callback of your own will do as well: it runs on the engine's thread, perhaps while the job
    /// still runs on this one, so all it may do is to put the connection into a queue and wake
    /// whoever sleeps. It must not resume the job, and not block.
    queue: ReadyQueue,
    client: OffloadClient,
    connections: Vec<Connection>,
}

/// The event of the queue's fd; the others are of the sockets, by their numbers.
const QUEUE: u64 = u64::MAX;

impl Server {
    fn run(&mut self) -> Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; 64];
        let mut tokens = Vec::new();
        // A connection is over when its client has gone and its last answer is out.
        while self.connections.iter().any(|c| c.open || c.job.is_some()) {
            // Asks to be woken, unless somebody is in the queue already.
            let sleep = match self.queue.arm() {
                true => None,
                false => Some(&Timespec::default()),
            };
            let (ready, _) = epoll::wait(&self.epoll, &mut events, sleep)?;
            self.queue.disarm()?;
            for event in ready {
                match event.data.u64() {
                    QUEUE => {}
                    at => self.on_socket(at as usize)?,
                }
            }
            self.queue.drain(&mut tokens);
            for at in tokens.drain(..) {
                self.on_callback(at as usize)?;
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
    fn on_callback(&mut self, at: usize) -> Result<()> {
        if self.connections[at].job.is_none() {
            // The wake of an answer that an early resume has found already.
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
                    return Ok(());
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
        queue: ReadyQueue::with_fd()?,
        client: OffloadClient::new(device.clone()),
        connections: Vec::new(),
    };
    let fd = server.queue.fd().ok_or("a queue with an fd")?;
    epoll::add(&server.epoll, fd, EventData::new_u64(QUEUE), EventFlags::IN)?;
    let mut theirs = Vec::new();
    for at in 0..CONNECTIONS {
        let (socket, client) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        epoll::add(
            &server.epoll,
            &socket,
            EventData::new_u64(at as u64),
            EventFlags::IN,
        )?;
        let ctx = WaitCtx::new();
        server.queue.attach(&ctx, at as u64);
        server.connections.push(Connection {
            socket,
            inbox: Vec::new(),
            open: true,
            ctx,
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
    let sleeps = server.queue.wakes();
    println!("{early} early resumes, which did no harm; the loop was woken {sleeps} times");
    let counters = device.shutdown().counters;
    if right != 2 * ROUNDS * CONNECTIONS || !counters.balance() {
        return Err(format!("something is wrong: {counters:?}").into());
    }
    Ok(())
}
