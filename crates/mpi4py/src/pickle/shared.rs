//! Containers that somebody else than the container around them refers to: they may come again in the same object, and
//! must stay one. Looked up by address; nothing is allocated before the first.

/// Slots at first.
const FIRST: usize = 32;
/// The place of a container whose items are still being written.
const OPEN: u32 = u32::MAX;

#[derive(Default)]
pub(super) struct Shared {
    /// Address and number, found by hash: a power of two of slots, at most half of them in use. 0 = free.
    slots: Vec<(usize, u32)>,
    /// Place in the pickle's memo, by number.
    places: Vec<u32>,
    /// Containers in the memo.
    noted: u32,
}

/// What is known of a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// It comes for the first time, and has this number from now on.
    New(u32),
    /// It is being written.
    Open,
    /// It was written, and is at this place of the memo.
    Written(u32),
}

impl Shared {
    /// A container comes.
    pub(super) fn meet(&mut self, address: usize) -> Met {
        if self.slots.len() <= 2 * self.places.len() {
            self.grow();
        }
        let slot = self.slot(address);
        if self.slots[slot].0 == address {
            return match self.places[self.slots[slot].1 as usize] {
                OPEN => Met::Open,
                place => Met::Written(place),
            };
        }
        let number = self.places.len() as u32;
        self.slots[slot] = (address, number);
        self.places.push(OPEN);
        Met::New(number)
    }

    /// The container with this number is written, and becomes the next in the memo.
    pub(super) fn complete(&mut self, number: u32) {
        self.places[number as usize] = self.noted;
        self.noted += 1;
    }

    /// Where an address is, or is to be.
    fn slot(&self, address: usize) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (address >> 4).wrapping_mul(0x9e37_79b9) >> 8 & mask;
        while self.slots[slot].0 != 0 && self.slots[slot].0 != address {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[cold]
    fn grow(&mut self) {
        let size = (4 * self.slots.len()).max(FIRST);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for entry in old.into_iter().filter(|entry| entry.0 != 0) {
            let slot = self.slot(entry.0);
            self.slots[slot] = entry;
        }
    }
}
