//! What the models of old designs are built of. They are in safe Rust, so that what was undefined there
//! is an error here.

use std::collections::BTreeMap;

/// What became of an old design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Memory was used that had been given back, and may be somebody else's by now.
    UseAfterFree,
    /// A job took what was not its answer.
    WrongAnswer,
    /// Bytes went into somebody else's descriptor.
    WroteIntoAnother,
    /// A descriptor was used that was not open.
    BadDescriptor,
    /// Nothing will ever happen that goes on with what was begun.
    Hang,
    /// The thread sleeps in a system call for something that never comes.
    Blocked,
    /// A count of what is in flight was below zero.
    Negative,
    /// An error, though the device works.
    Failed,
    /// What was made was never given back.
    Leaked,
}

/// Memory. A handle is good until what it stands for is freed, also if the place is used again.
pub(crate) struct Heap<T> {
    places: Vec<(u32, Option<T>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    place: usize,
    generation: u32,
}

impl<T> Heap<T> {
    pub(crate) fn new() -> Heap<T> {
        Heap { places: Vec::new() }
    }

    /// The place that was freed last is used first, as pools do.
    pub(crate) fn alloc(&mut self, value: T) -> Handle {
        let free = self.places.iter().rposition(|(_, value)| value.is_none());
        let place = free.unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() - 1
        });
        let (generation, slot) = &mut self.places[place];
        *slot = Some(value);
        Handle {
            place,
            generation: *generation,
        }
    }

    pub(crate) fn get(&mut self, handle: Handle) -> Result<&mut T, Crash> {
        match &mut self.places[handle.place] {
            (generation, Some(value)) if *generation == handle.generation => Ok(value),
            _ => Err(Crash::UseAfterFree),
        }
    }

    pub(crate) fn free(&mut self, handle: Handle) -> Result<T, Crash> {
        self.get(handle)?;
        let (generation, value) = &mut self.places[handle.place];
        *generation += 1;
        value.take().ok_or(Crash::UseAfterFree)
    }

    /// How much is not freed.
    pub(crate) fn live(&self) -> usize {
        let live = self.places.iter().filter(|(_, value)| value.is_some());
        live.count()
    }
}

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    /// An eventfd, and its count.
    Event(u64),
    /// A client's connection, and the bytes that were written into it.
    Socket(usize),
}

/// A process's descriptors: the lowest number that is free is used first.
#[derive(Default)]
pub(crate) struct Descriptors(BTreeMap<i32, File>);

impl Descriptors {
    pub(crate) fn open(&mut self, file: File) -> i32 {
        let number = (0..).find(|n| !self.0.contains_key(n)).unwrap_or(i32::MAX);
        self.0.insert(number, file);
        number
    }

    pub(crate) fn close(&mut self, number: i32) -> Result<File, Crash> {
        self.0.remove(&number).ok_or(Crash::BadDescriptor)
    }

    /// `write(number, 1_u64, 8)`: what wakes the owner of an eventfd.
    pub(crate) fn write_one(&mut self, number: i32) -> Result<(), Crash> {
        match self.0.get_mut(&number) {
            None => Err(Crash::BadDescriptor),
            Some(File::Event(count)) => {
                *count += 1;
                Ok(())
            }
            Some(File::Socket(bytes)) => {
                *bytes += 8;
                Ok(())
            }
        }
    }

    /// `read(number)` of an eventfd: the count, which is 0 then; `None` if it is 0 already.
    pub(crate) fn read(&mut self, number: i32) -> Result<Option<u64>, Crash> {
        match self.0.get_mut(&number) {
            Some(File::Event(0)) => Ok(None),
            Some(File::Event(count)) => Ok(Some(std::mem::take(count))),
            _ => Err(Crash::BadDescriptor),
        }
    }

    pub(crate) fn get(&self, number: i32) -> Option<File> {
        self.0.get(&number).copied()
    }
}
