//! Batches that are being filled, one for each kind of operation.

use offload::OpKind;

#[derive(Default)]
pub(super) struct Batches {
    /// A few: looked through.
    forming: Vec<Forming>,
}

struct Forming {
    kind: OpKind,
    first: u32,
    last: u32,
    len: u32,
    /// Which batch of its kind it is.
    version: u32,
}

/// What became of a request that joined a batch.
pub(super) struct Joined {
    /// The one before it in the batch.
    pub(super) after: Option<u32>,
    /// It is the first of the batch with this version.
    pub(super) opened: Option<u32>,
    /// The batch is full: its first request.
    pub(super) full: Option<u32>,
}

impl Batches {
    /// Puts a request into the batch of its kind, which is full at `size`.
    pub(super) fn join(&mut self, kind: OpKind, index: u32, size: u32) -> Joined {
        let at = match self.forming.iter().position(|f| f.kind == kind) {
            Some(at) => at,
            None => {
                self.forming.push(Forming {
                    kind,
                    first: index,
                    last: index,
                    len: 0,
                    version: 0,
                });
                self.forming.len() - 1
            }
        };
        let batch = &mut self.forming[at];
        let opens = batch.len == 0;
        if opens {
            batch.first = index;
        }
        let joined = Joined {
            after: (!opens).then_some(batch.last),
            opened: opens.then_some(batch.version),
            full: (batch.len + 1 == size).then_some(batch.first),
        };
        batch.last = index;
        batch.len += 1;
        if joined.full.is_some() {
            batch.close();
        }
        joined
    }

    /// Ends the batch with this version, if it is not full yet. Returns its first request.
    pub(super) fn flush(&mut self, kind: OpKind, version: u32) -> Option<u32> {
        let batch = self
            .forming
            .iter_mut()
            .find(|f| f.kind == kind && f.version == version && f.len > 0)?;
        batch.close();
        Some(batch.first)
    }
}

impl Forming {
    fn close(&mut self) {
        self.len = 0;
        self.version = self.version.wrapping_add(1);
    }
}
