//! What the client has open, by the numbers that it knows them by.

use std::os::fd::OwnedFd;

use rustix::fs::Dir;
use rustix::process::{Resource, getrlimit};

use crate::request::HandleName;

/// Descriptors that are not for handles: the standard ones, the journal, and one to spare; as OpenSSH counts them.
const RESERVED: u64 = 5;

/// A file that is open.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) descriptor: OwnedFd,
    /// As the client named it.
    pub(crate) path: Vec<u8>,
    pub(crate) position: Position,
    /// Bytes that went to the client.
    pub(crate) read: u64,
    /// Bytes that came from the client, or by `copy-data`.
    pub(crate) written: u64,
}

/// Where writes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// Where the request says.
    Requested,
    /// Behind the last byte.
    End,
}

/// A directory that is being listed.
#[derive(Debug)]
pub(crate) struct OpenDirectory {
    pub(crate) entries: Dir,
    pub(crate) path: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Handle {
    File(OpenFile),
    Directory(OpenDirectory),
}

/// The table. Numbers are used again after a close, the last one first, as by OpenSSH.
#[derive(Debug)]
pub(crate) struct Handles {
    slots: Vec<Option<Handle>>,
    free: Vec<usize>,
    limit: usize,
}

impl Handles {
    /// A table with room for `limit` handles.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// How many handles the descriptors of this process are enough for.
    pub(crate) fn limit_of_this_process() -> usize {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(descriptors.saturating_sub(RESERVED)).unwrap_or(usize::MAX)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a handle in and names it; none if the table is full.
    pub(crate) fn insert(&mut self, handle: Handle) -> Option<[u8; 4]> {
        if let Some(number) = self.free.pop() {
            *self.slots.get_mut(number)? = Some(handle);
            return name(number);
        }
        if self.slots.len() >= self.limit {
            return None;
        }
        self.slots.push(Some(handle));
        name(self.slots.len().checked_sub(1)?)
    }

    fn slot(&mut self, name: HandleName<'_>) -> Option<&mut Option<Handle>> {
        self.slots.get_mut(index(name)?)
    }

    pub(crate) fn file(&mut self, name: HandleName<'_>) -> Option<&mut OpenFile> {
        match self.slot(name)?.as_mut()? {
            Handle::File(file) => Some(file),
            Handle::Directory(_) => None,
        }
    }

    pub(crate) fn directory(&mut self, name: HandleName<'_>) -> Option<&mut OpenDirectory> {
        match self.slot(name)?.as_mut()? {
            Handle::Directory(directory) => Some(directory),
            Handle::File(_) => None,
        }
    }

    /// Two different files at once, if both are some.
    pub(crate) fn two_files(
        &mut self,
        one: HandleName<'_>,
        other: HandleName<'_>,
    ) -> Option<[&mut OpenFile; 2]> {
        let slots = [index(one)?, index(other)?];
        match self.slots.get_disjoint_mut(slots).ok()? {
            [Some(Handle::File(one)), Some(Handle::File(other))] => Some([one, other]),
            _ => None,
        }
    }

    /// Takes a handle out.
    pub(crate) fn remove(&mut self, name: HandleName<'_>) -> Option<Handle> {
        let handle = self.slot(name)?.take()?;
        self.free.extend(index(name));
        Some(handle)
    }

    /// Takes all out that are left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Handle> + '_ {
        self.free.clear();
        self.slots.drain(..).flatten()
    }
}

fn name(index: usize) -> Option<[u8; 4]> {
    Some(u32::try_from(index).ok()?.to_be_bytes())
}

fn index(name: HandleName<'_>) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(name.0.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Handle {
        Handle::File(OpenFile {
            descriptor: std::fs::File::open("/dev/null").unwrap().into(),
            path: b"/dev/null".to_vec(),
            position: Position::Requested,
            read: 0,
            written: 0,
        })
    }

    #[test]
    fn there_are_no_more_handles_than_the_limit_and_numbers_are_used_again() {
        let mut handles = Handles::new(2);
        let first = handles.insert(file()).unwrap();
        let second = handles.insert(file()).unwrap();
        assert_eq!((first, second), ([0, 0, 0, 0], [0, 0, 0, 1]));
        assert_eq!(handles.insert(file()), None);
        assert!(handles.remove(HandleName(&first)).is_some());
        assert!(handles.remove(HandleName(&first)).is_none());
        assert!(handles.file(HandleName(&first)).is_none());
        assert_eq!(handles.insert(file()), Some(first));
        let two = handles.two_files(HandleName(&first), HandleName(&second));
        assert!(two.is_some());
        let same = handles.two_files(HandleName(&first), HandleName(&first));
        assert!(same.is_none());
        assert_eq!(handles.drain().count(), 2);
    }

    #[test]
    fn what_is_no_handle_finds_none() {
        let mut handles = Handles::new(2);
        handles.insert(file()).unwrap();
        assert!(handles.file(HandleName(&[0, 0, 0, 0])).is_some());
        assert!(handles.directory(HandleName(&[0, 0, 0, 0])).is_none());
        for name in [
            [].as_slice(),
            &[0],
            &[0, 0, 0],
            &[0; 5],
            &[0; 300],
            &[0, 0, 0, 1],
            &[255; 4],
        ] {
            assert!(handles.file(HandleName(name)).is_none(), "{name:?}");
            assert!(handles.remove(HandleName(name)).is_none(), "{name:?}");
        }
    }
}
