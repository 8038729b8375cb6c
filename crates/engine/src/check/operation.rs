//! What the user's messages in work are about: buffer, type and place of the call. With that a message can
//! be compared with its receive, and a buffer that is in use by two operations is found.

use super::{Note, Site, here, words};
use crate::datatype::region::{Region, common, first_common};
use crate::datatype::{Signature, Type};
use crate::payload::Payload;
use crate::request::State;
use crate::{Engine, Error, Result};
use mpi_abi::Datatype;
use mpi_abi::consts::{MPI_ERR_BUFFER, MPI_ERR_TYPE};
use std::ffi::c_int;
use std::ops::Range;
use std::sync::Arc;

/// More runs than this are not compared: it would take longer than the message.
const RUNS: usize = 1 << 20;

/// A message of the user.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    sends: bool,
    /// Address of the buffer; `None` if the engine has a copy of its own.
    base: Option<usize>,
    count: usize,
    kind: Arc<Type>,
    /// Of a message in partitions: how many.
    partitions: Option<usize>,
    site: Site,
    /// Counts operations, so that of several the earliest is named.
    number: u64,
}

impl Operation {
    /// Basic values of the message, or of the room for one.
    fn signature(&self) -> Signature {
        self.kind.signature().repeat(self.count as u64)
    }

    /// `10 x MPI_DOUBLE`.
    fn describe(&self) -> String {
        if self.kind.is_of_objects() {
            return format!("a pickled object ({} bytes)", self.kind.size().saturating_mul(self.count));
        }
        let kind = self.kind.describe();
        match self.partitions {
            None => format!("{} x {kind}", self.count),
            Some(1) => format!("1 partition of {} x {kind}", self.count),
            Some(many) => format!("{many} partitions of {} x {kind}", self.count / many.max(1)),
        }
    }

    /// What goes with the message.
    pub(crate) fn note(&self) -> Note {
        let Signature { elements, hash, .. } = self.signature();
        Note { elements, hash, packed: self.kind.is_packed(), text: self.describe(), place: words(self.site) }
    }

    fn bytes(&self) -> usize {
        self.kind.size().saturating_mul(self.count)
    }

    fn region(&self) -> Option<Region<'_>> {
        Some(Region { base: self.base?, count: self.count, kind: &self.kind })
    }

    /// The first bytes that both use.
    fn overlap(&self, other: &Self) -> Option<Range<usize>> {
        let (ours, theirs) = (self.region()?, other.region()?);
        common(&ours.span()?, &theirs.span()?)?;
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let few = ours.runs(RUNS, &mut one) && theirs.runs(RUNS, &mut two);
        if few { first_common(&mut one, &mut two) } else { None }
    }

    /// Where bytes are in the buffer, in words.
    fn place_of(&self, bytes: &Range<usize>) -> String {
        let base = self.base.unwrap_or(0).cast_signed();
        let from = bytes.start.cast_signed() - base;
        let to = from + bytes.len().cast_signed() - 1;
        let of = if self.sends { "send" } else { "receive" };
        let bytes = if from == to { format!("byte {from}") } else { format!("bytes {from} to {to}") };
        format!("{bytes} of the {of} buffer")
    }
}

/// A block of a collective that the user calls now, in words.
pub(crate) fn note_of_block(count: usize, kind: &Arc<Type>) -> Note {
    let kind = Arc::clone(kind);
    Operation { sends: true, base: None, count, kind, partitions: None, site: here(), number: 0 }.note()
}

/// A message that the user is about to begin: the arguments of the call.
#[derive(Clone, Copy)]
pub(crate) struct About {
    /// Whether it is sent.
    pub(crate) sends: bool,
    /// Its buffer; `None` if the engine takes a copy.
    pub(crate) buffer: Option<usize>,
    /// Elements.
    pub(crate) count: usize,
    /// Their type.
    pub(crate) datatype: Datatype,
}

impl About {
    /// A send of a buffer.
    #[inline]
    pub(crate) fn send(buffer: *const u8, count: usize, datatype: Datatype) -> Self {
        Self { sends: true, buffer: Some(buffer.addr()), count, datatype }
    }

    /// A receive into a buffer.
    #[inline]
    pub(crate) fn receive(buffer: *const u8, count: usize, datatype: Datatype) -> Self {
        Self { sends: false, ..Self::send(buffer, count, datatype) }
    }
}

impl Engine {
    /// The user is about to begin a message: [`Self::begin_operation`] follows under the same lock. An error
    /// if its buffer is in use.
    #[inline]
    pub(crate) fn check_start(&mut self, about: About) -> Result<()> {
        if self.check.is_none() { Ok(()) } else { self.check_start_slowly(about) }
    }

    #[cold]
    fn check_start_slowly(&mut self, about: About) -> Result<()> {
        let kind = Arc::clone(self.types.committed(about.datatype)?);
        self.check_operation(about, kind, here())
    }

    /// The same for the persistent request `raw`, whose datatype may be known by nothing but `kind` any more.
    #[inline]
    pub(crate) fn check_restart(&mut self, raw: usize, about: About, kind: &Arc<Type>) -> Result<()> {
        if self.check.is_none() { Ok(()) } else { self.check_restart_slowly(raw, about, kind) }
    }

    #[cold]
    fn check_restart_slowly(&mut self, raw: usize, about: About, kind: &Arc<Type>) -> Result<()> {
        // It is known by the call that made it.
        let site = self.requests.made_at(raw).unwrap_or_else(here);
        self.check_operation(about, Arc::clone(kind), site)
    }

    fn check_operation(&mut self, about: About, kind: Arc<Type>, site: Site) -> Result<()> {
        let Some(check) = self.check.as_mut() else { return Ok(()) };
        check.count += 1;
        let About { sends, buffer: base, count, .. } = about;
        let next = Operation { sends, base, count, kind, partitions: None, site, number: check.count };
        check.next = None;
        let requests = &self.requests;
        check.operations.retain(|raw, _| requests.get(*raw).is_some_and(|request| request.state != State::Inactive));
        for (raw, other) in &mut check.operations {
            // The call was given up (a signal), and the engine goes on with bytes of its own.
            if requests.get(*raw).is_some_and(|request| matches!(request.payload, Payload::Owned(_))) {
                other.base = None;
            }
        }
        let others = check.operations.values().filter(|other| !(about.sends && other.sends));
        let used = others.filter_map(|other| Some((other, next.overlap(other)?)));
        if let Some((other, both)) = used.min_by_key(|(other, _)| other.number) {
            return Err(overlapping(&next, other, &both));
        }
        check.next = Some(next);
        Ok(())
    }

    /// What was announced is the request `raw`; a message of the engine itself was not announced.
    #[inline]
    pub(crate) fn begin_operation(&mut self, raw: usize) {
        if let Some(check) = self.check.as_mut() {
            match check.next.take() {
                Some(mut next) => {
                    if self.requests.get(raw).is_some_and(|request| matches!(request.payload, Payload::Owned(_))) {
                        next.base = None;
                    }
                    check.operations.insert(raw, next);
                }
                None => drop(check.operations.remove(&raw)),
            }
        }
    }

    /// What a message in partitions is about that the user is about to make; none without `--check`. Its buffer is not
    /// looked at: partitions that are ready, or here, may be used while others are not.
    pub(crate) fn check_partitioned(
        &self,
        sends: bool,
        partitions: usize,
        count: usize,
        kind: &Arc<Type>,
    ) -> Option<Box<Operation>> {
        self.check.as_ref()?;
        let (kind, partitions) = (Arc::clone(kind), Some(partitions));
        Some(Box::new(Operation { sends, base: None, count, kind, partitions, site: here(), number: 0 }))
    }

    /// What goes with the message of the request `raw`, if it is one of the user's.
    pub(crate) fn note_of(&self, raw: usize) -> Option<Note> {
        self.check.as_ref()?.operations.get(&raw).map(Operation::note)
    }

    /// Compares a message that was matched with the receive `raw`, and fails that if their types differ. To
    /// be called before any of its bytes are delivered, so that the receive is in the table.
    pub(crate) fn compare(&mut self, raw: usize, from: u32, tag: c_int, note: &Note, bytes: usize) {
        let Some(error) = self.mismatch(raw, from, tag, note, bytes) else { return };
        match self.requests.get_mut(raw) {
            Some(request) if !request.detached => request.error = Some(Box::new(error)),
            // Nobody will ask for its error.
            _ => self.check.iter_mut().for_each(|check| check.findings.push(error.text.clone())),
        }
    }

    fn mismatch(&mut self, raw: usize, from: u32, tag: c_int, note: &Note, bytes: usize) -> Option<Error> {
        let context = self.context_of(raw)?;
        let receive = self.check.as_ref()?.operations.get(&raw)?.clone();
        self.difference(&receive, context, from, tag, note, bytes)
    }

    /// The types of a message and its receive, if they differ.
    pub(crate) fn difference(
        &mut self,
        receive: &Operation,
        context: u32,
        from: u32,
        tag: c_int,
        note: &Note,
        bytes: usize,
    ) -> Option<Error> {
        let matches = note.packed
            || receive.kind.is_packed()
            || receive.kind.prefix(receive.count, note.elements).is_some_and(|prefix| prefix.hash == note.hash);
        // What does not fit is another error, of the receive itself.
        if matches || bytes > receive.bytes() {
            return None;
        }
        let (receives, place) = (receive.describe(), words(receive.site));
        let source = self.contexts.source_rank(context, from);
        let (me, on) = self.here_on(context);
        Some(Error::new(
            MPI_ERR_TYPE,
            format!(
                "rank {source} sent {} ({}), rank {me} receives {receives} ({place}): the types of sender and receiver \
                 must be the same (tag {tag}{on})",
                note.text, note.place
            ),
        ))
    }

    fn context_of(&self, raw: usize) -> Option<u32> {
        match &self.requests.get(raw)?.role {
            crate::request::Role::Recv(recv) => Some(recv.context),
            _ => None,
        }
    }

    /// My rank in the communicator of a context, and ` on NAME`.
    pub(crate) fn here_on(&self, context: u32) -> (u32, String) {
        match self.comm_of_context(context & !1) {
            Some(comm) if comm.kept.name.is_empty() => (comm.core.rank, String::new()),
            Some(comm) => (comm.core.rank, format!(" on {}", comm.kept.name)),
            None => (self.me, String::new()),
        }
    }
}

#[cold]
fn overlapping(next: &Operation, other: &Operation, both: &Range<usize>) -> Error {
    Error::new(
        MPI_ERR_BUFFER,
        format!(
            "{} ({}) {} {} of an operation that is not complete ({})",
            next.place_of(both),
            words(next.site),
            if both.len() == 1 { "is" } else { "are" },
            other.place_of(both),
            words(other.site)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::consts::MPI_INT;

    fn operation(base: usize, count: usize, kind: &Arc<Type>) -> Operation {
        Operation {
            sends: false,
            base: Some(base),
            count,
            kind: Arc::clone(kind),
            partitions: None,
            site: 0,
            number: 0,
        }
    }

    #[test]
    fn buffers_overlap_by_their_bytes_not_by_what_lies_between() {
        let types = crate::datatype::TypeTable::new();
        let int = types.get(MPI_INT).expect("predefined");
        // A column of a matrix of 4 x 5, and its neighbour.
        let column = Arc::new(Type::vector(4, 1, 5, int).expect("vector"));
        let (first, second) = (operation(1000, 1, &column), operation(1004, 1, &column));
        assert_eq!(first.overlap(&second), None);
        assert_eq!(first.overlap(&operation(1000, 1, &column)), Some(1000..1004));
        // The last row, from its second element on.
        let row = operation(1064, 4, int);
        assert_eq!(first.overlap(&row), None);
        assert_eq!(row.overlap(&second), Some(1064..1068));
        assert_eq!(second.place_of(&(1064..1068)), "bytes 60 to 63 of the receive buffer");
        // Nothing is in nobody's way.
        assert_eq!(first.overlap(&operation(1000, 0, int)), None);
        assert_eq!(first.overlap(&Operation { base: None, ..operation(1000, 1, &column) }), None);
        // Backwards in memory.
        let back = Arc::new(Type::vector(4, 1, -5, int).expect("vector"));
        assert_eq!(operation(1060, 1, &back).overlap(&operation(1038, 1, int)), Some(1040..1042));
    }

    #[test]
    fn types_with_more_runs_than_can_be_listed_are_left_alone() {
        let types = crate::datatype::TypeTable::new();
        let int = types.get(MPI_INT).expect("predefined");
        let many = Arc::new(Type::vector(3 << 20, 1, 2, int).expect("vector"));
        assert_eq!(operation(4096, 1, &many).overlap(&operation(4096, 1, int)), None);
    }
}
