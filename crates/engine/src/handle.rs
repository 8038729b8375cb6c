//! Handles that the engine gives to C: index and generation, never addresses, so that a stale or
//! foreign handle is an error and not a crash (design.md section 2). Each kind of object has one
//! table in [`crate::Engine`].
//!
//! A handle is `kind << 56 | generation << 32 | index`; values below 0x1000 belong to the ABI's
//! predefined objects and never come out of a table.

/// What a handle stands for; the top byte of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are MPI's own")]
pub enum Kind {
    Comm = 1,
    Datatype,
    Request,
    Group,
    Op,
    Errhandler,
    Info,
    Message,
    Session,
    Win,
    File,
}

impl Kind {
    /// The kind whose number is `raw`'s top byte, if any.
    pub fn of(raw: usize) -> Option<Self> {
        use Kind::{Comm, Datatype, Errhandler, File, Group, Info, Message, Op, Request, Session, Win};
        [Comm, Datatype, Request, Group, Op, Errhandler, Info, Message, Session, Win, File]
            .into_iter()
            .find(|k| *k as usize == raw >> 56)
    }
}

/// Why a handle does not name a live object of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The value is a handle of another kind.
    OtherKind(Kind),
    /// The object was freed; the handle is older than the slot's present content.
    Freed,
    /// The object is still being made ([`HandleTable::reserve`]).
    Unfinished,
    /// The value was never handed out.
    Unknown,
}

/// The reason in words, for the text of an error.
#[cold]
pub fn explain(why: Stale) -> String {
    match why {
        Stale::OtherKind(kind) => format!("it is the handle of a {kind:?}"),
        Stale::Freed => "it was freed, or completed, before".to_owned(),
        Stale::Unfinished => "it is still being made: its request has to be completed first".to_owned(),
        Stale::Unknown => "it was never handed out".to_owned(),
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Live objects of one kind, found by handle in constant time.
pub struct HandleTable<T> {
    kind: Kind,
    /// Whether it is noted where objects are made (`mpiexec --check`).
    tracked: bool,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// The place of the call that made the object at an index, 0 = not known.
    sites: Vec<u32>,
}

const GENERATIONS: u32 = 0x00ff_ffff;

impl<T> HandleTable<T> {
    /// An empty table for objects of `kind`.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, tracked: false, slots: Vec::new(), free: Vec::new(), sites: Vec::new() }
    }

    /// Stores `value` and gives its handle.
    pub fn insert(&mut self, value: T) -> usize {
        self.insert_with(|| value)
    }

    /// As [`Self::insert`]; the value is made where it stays, which is for large ones that are made often.
    #[inline(always)]
    pub fn insert_with(&mut self, make: impl FnOnce() -> T) -> usize {
        let Some(index) = self.free.pop() else { return self.insert_behind(make()) };
        let slot = &mut self.slots[index as usize];
        // What was there is nothing, which needs no look.
        std::mem::forget(slot.value.replace(make()));
        if self.tracked {
            self.note_site(index);
        }
        self.handle_of(index)
    }

    #[cold]
    fn insert_behind(&mut self, value: T) -> usize {
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 1, value: Some(value) });
        if self.tracked {
            self.note_site(index);
        }
        self.handle_of(index)
    }

    /// A handle without an object: one comes with [`Self::fill`].
    pub fn reserve(&mut self) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 1, value: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if self.tracked {
            self.note_site(index);
        }
        self.handle_of(index)
    }

    /// The index of a reserved handle.
    fn reserved(&self, raw: usize) -> Option<usize> {
        let index = raw & 0xffff_ffff;
        let slot = self.slots.get(index)?;
        // A slot that was freed has another generation than any handle that was given out for it.
        let same = raw >> 32 == (self.kind as usize) << 24 | slot.generation as usize;
        (same && slot.value.is_none()).then_some(index)
    }

    /// The object of a reserved handle is there.
    pub fn fill(&mut self, raw: usize, value: T) {
        if let Some(index) = self.reserved(raw) {
            self.slots[index].value = Some(value);
        }
    }

    /// A reserved handle gets no object: it is stale from now on.
    pub fn give_up(&mut self, raw: usize) {
        if let Some(index) = self.reserved(raw) {
            self.retire(index);
        }
    }

    #[inline]
    fn retire(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.generation = if slot.generation == GENERATIONS { 1 } else { slot.generation + 1 };
        self.free.push(u32::try_from(index).unwrap_or(u32::MAX));
    }

    /// Notes from now on where objects are made.
    pub(crate) fn track(&mut self) {
        self.tracked = true;
    }

    #[cold]
    fn note_site(&mut self, index: u32) {
        let index = index as usize;
        if self.sites.len() <= index {
            self.sites.resize(index + 1, 0);
        }
        self.sites[index] = crate::check::here();
    }

    /// All live objects whose making was noted, with handle and place.
    pub(crate) fn made(&self) -> impl Iterator<Item = (usize, u32, &T)> {
        self.iter().filter_map(|(raw, value)| Some((raw, self.made_at(raw)?, value)))
    }

    /// Where the live object `raw` was made, if that was noted.
    pub(crate) fn made_at(&self, raw: usize) -> Option<u32> {
        let site = self.sites.get(self.slot(raw)?).copied();
        site.filter(|site| *site != 0)
    }

    #[inline]
    fn handle_of(&self, index: u32) -> usize {
        let generation = self.slots[index as usize].generation;
        (self.kind as usize) << 56 | (generation as usize) << 32 | index as usize
    }

    #[inline]
    fn slot(&self, raw: usize) -> Option<usize> {
        let index = raw & 0xffff_ffff;
        let slot = self.slots.get(index)?;
        let same = raw >> 32 == (self.kind as usize) << 24 | slot.generation as usize;
        (same && slot.value.is_some()).then_some(index)
    }

    /// The object of handle `raw`.
    #[inline]
    pub fn get(&self, raw: usize) -> Option<&T> {
        self.slot(raw).and_then(|i| self.slots[i].value.as_ref())
    }

    /// The object of handle `raw`, to change it.
    #[inline]
    pub fn get_mut(&mut self, raw: usize) -> Option<&mut T> {
        self.slot(raw).and_then(|i| self.slots[i].value.as_mut())
    }

    /// Takes the object out; its handle is stale from now on.
    #[inline]
    pub fn remove(&mut self, raw: usize) -> Option<T> {
        let index = self.slot(raw)?;
        let value = self.slots[index].value.take();
        self.retire(index);
        value
    }

    /// Shows the object of `raw` to `look`; if that says true, the object is dropped and its handle stale from
    /// now on. Whether it was.
    #[inline]
    pub fn drop_if(&mut self, raw: usize, look: impl FnOnce(&mut T) -> bool) -> bool {
        let Some(index) = self.slot(raw) else { return false };
        if !self.slots[index].value.as_mut().is_some_and(look) {
            return false;
        }
        self.slots[index].value = None;
        self.retire(index);
        true
    }

    /// Why `raw` is no handle of this table (for the error text).
    #[cold]
    pub fn why_stale(&self, raw: usize) -> Stale {
        match Kind::of(raw) {
            Some(kind) if kind == self.kind => {
                if self.reserved(raw).is_some_and(|index| !self.free.iter().any(|free| *free as usize == index)) {
                    Stale::Unfinished
                } else if (raw & 0xffff_ffff) < self.slots.len() {
                    Stale::Freed
                } else {
                    Stale::Unknown
                }
            }
            Some(kind) => Stale::OtherKind(kind),
            None => Stale::Unknown,
        }
    }

    /// The handle of the live object at `index` (for `MPI_*_fromint`).
    pub fn from_index(&self, index: usize) -> Option<usize> {
        let live = self.slots.get(index)?.value.is_some();
        live.then(|| self.handle_of(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// How many objects are alive.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no object is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All live objects with their handles.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.slots.iter().enumerate().filter_map(|(i, slot)| {
            let index = u32::try_from(i).unwrap_or(u32::MAX);
            slot.value.as_ref().map(|v| (self.handle_of(index), v))
        })
    }

    /// The objects, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.value.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_handle_stays_invalid_when_its_slot_is_used_again() {
        let mut table = HandleTable::new(Kind::Group);
        let first = table.insert("first");
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second");
        assert_ne!(first, second);
        assert_eq!(table.get(first), None);
        assert_eq!(table.why_stale(first), Stale::Freed);
        assert_eq!(table.get(second), Some(&"second"));
        assert_eq!(table.from_index(second & 0xffff_ffff), Some(second));
    }

    #[test]
    fn a_reserved_handle_names_its_object_once_that_is_there() {
        let mut table = HandleTable::new(Kind::Comm);
        let (first, second) = (table.reserve(), table.reserve());
        let third = table.insert(3);
        assert_eq!((table.get(first), table.why_stale(first), table.len()), (None, Stale::Unfinished, 3));
        assert_eq!(table.from_index(0), None);
        assert_eq!(table.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [3]);
        table.fill(first, 1);
        table.fill(first, 9);
        assert_eq!((table.get(first), table.get(third)), (Some(&1), Some(&3)));
        table.give_up(second);
        table.give_up(first);
        assert_eq!((table.why_stale(second), table.get(first)), (Stale::Freed, Some(&1)));
        assert_eq!(table.remove(first), Some(1));
        assert_eq!(table.why_stale(first), Stale::Freed);
        table.fill(first, 7);
        assert_eq!(table.get(first), None);
        let again = table.reserve();
        assert_eq!(again & 0xffff_ffff, first & 0xffff_ffff);
        assert_eq!(table.why_stale(first), Stale::Freed);
    }

    #[test]
    fn an_object_goes_if_the_look_at_it_says_so() {
        let mut table = HandleTable::new(Kind::Group);
        let object = std::sync::Arc::new(());
        let handle = table.insert(std::sync::Arc::clone(&object));
        assert!(!table.drop_if(handle, |_| false));
        assert!(table.get(handle).is_some());
        assert!(table.drop_if(handle, |_| true));
        assert_eq!((std::sync::Arc::strong_count(&object), table.len()), (1, 0));
        assert!(!table.drop_if(handle, |_| true));
        assert_ne!(table.insert(object), handle);
    }

    #[test]
    fn a_handle_of_another_kind_is_told_apart() {
        let mut groups = HandleTable::new(Kind::Group);
        let mut infos = HandleTable::new(Kind::Info);
        let group = groups.insert(1);
        let _ = infos.insert(2);
        assert_eq!(infos.get(group), None);
        assert_eq!(infos.why_stale(group), Stale::OtherKind(Kind::Group));
        assert_eq!(infos.why_stale(0x101), Stale::Unknown);
    }
}
