//! What the jobs of a thread share with it: where requests are laid out and answers left.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use offload::{Buffer, OffloadError, Request, Response};

/// A place for each job that can be in flight. Borrowed only between pauses.
pub(crate) struct Desk {
    places: RefCell<Vec<Place>>,
}

/// One of the jobs in flight, over and over.
pub(crate) struct Place {
    pub(crate) n: u64,
    pub(crate) started: Instant,
    pub(crate) latency: Duration,
    /// Between operations, from the second one on.
    pub(crate) buffer: Option<Buffer>,
    /// For the job to take, so that its closure is small enough to be stored in place.
    pub(crate) request: Option<Request>,
    pub(crate) answer: Option<Result<Response, OffloadError>>,
}

impl Desk {
    pub(crate) fn new(places: usize) -> Desk {
        let now = Instant::now();
        let place = |_| Place {
            n: 0,
            started: now,
            latency: Duration::ZERO,
            buffer: None,
            request: None,
            answer: None,
        };
        Desk {
            places: RefCell::new((0..places).map(place).collect()),
        }
    }

    /// Works on a place. Nothing in `work` may pause.
    pub(crate) fn at<R>(&self, place: usize, work: impl FnOnce(&mut Place) -> R) -> R {
        work(&mut self.places.borrow_mut()[place])
    }

    /// When the operation in a place was begun.
    pub(crate) fn started(&self, place: usize) -> Instant {
        self.places.borrow()[place].started
    }

    /// What each job does, whoever runs it: takes its place's request, has it carried out, and leaves
    /// the answer.
    #[inline]
    pub(crate) fn serve(
        &self,
        place: usize,
        carry_out: impl FnOnce(Request) -> Result<Response, OffloadError>,
    ) {
        let request = self.at(place, |at| at.request.take());
        let answer = request.map(carry_out);
        self.at(place, |at| {
            at.latency = at.started.elapsed();
            at.answer = answer;
        });
    }
}
